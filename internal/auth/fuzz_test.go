package auth_test

import (
	"errors"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// FuzzTickets presents whatever there is: it is refused, and nothing breaks.
func FuzzTickets(f *testing.F) {
	f.Add("", "ada@example.com", "ACDE-FGHJ")
	f.Add("AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "", "")
	f.Add("x.y", "ada", "1")
	f.Fuzz(func(t *testing.T, token, email, code string) {
		x := newFixture(t, open(&mailbox{}))
		err := x.VerifyAddress(t.Context(), auth.TicketRequest{Token: token, Email: email, Code: code})
		var invalid *auth.InvalidError
		if !errors.Is(err, auth.ErrInvalidTicket) && !errors.As(err, &invalid) {
			t.Errorf("got %v", err)
		}
	})
}
