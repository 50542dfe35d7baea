package minidyn_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRefusedLoginsCostTheSame: a login with a wrong password, from a network that nobody
// knows, sends the same requests of the same units for the address of a user and for one
// that nobody has.
func TestRefusedLoginsCostTheSame(t *testing.T) {
	l, _, s := service(t)
	s.Each(t, func(_ string, do func()) { do() }) // what is read or written once a day is
	b := new(bill)
	l.set(func() { l.bill = b })
	refused := func(email, from string) (sent []string) {
		t.Helper()
		b.take()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/login", strings.NewReader(`{"username":"`+email+`","password":"a wrong password"}`))
		r.RemoteAddr = from
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		if w.Code != 401 {
			t.Fatalf("%s: status %d, want 401: %s", email, w.Code, w.Body)
		}
		for _, r := range b.take() {
			for _, c := range r.charges {
				kind, _, _ := strings.Cut(c.partition, "#")
				if kind != "keys" { // which each process reads every 10 s
					sent = append(sent, strings.Join([]string{r.operation, kind, strings.Repeat("r", c.read), strings.Repeat("w", c.write)}, " "))
				}
			}
		}
		slices.Sort(sent) // of several at the same time any may come first
		return sent
	}
	refused("nobody@example.com", "203.0.113.1:40000") // as often as the user's
	user := refused("ada@example.com", "203.0.114.1:40000")
	nobody := refused("nobody@example.com", "203.0.115.1:40000")
	if d := cmp.Diff(user, nobody); d != "" {
		t.Errorf("requests (-user +nobody):\n%s", d)
	}
	if len(user) < 10 {
		t.Errorf("only %q are sent", user)
	}
}
