package sqlstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestLoadLeavesNoHalfUsers: when the sign-in of a user cannot be stored, neither are the
// profile and the event, and what is stored of the others is whole.
func TestLoadLeavesNoHalfUsers(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latchkey.db"), true)
	const refuse = `CREATE TRIGGER refuse BEFORE INSERT ON sign_ins WHEN NEW.user_id = 'user-1100' BEGIN SELECT RAISE(ABORT, 'refused'); END`
	if _, err := s.Write().ExecContext(t.Context(), refuse); err != nil {
		t.Fatal(err)
	}
	users := make([]storage.LoadedUser, 1200)
	for i := range users {
		users[i].User, users[i].Event = create(fmt.Sprint("user-", i)).User, event(fmt.Sprint("user-", i)).Event
	}
	if _, err := s.LoadUsers(t.Context(), users); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if _, err := s.Write().ExecContext(t.Context(), `DROP TRIGGER refuse`); err != nil {
		t.Fatal(err)
	}
	stored, err := s.LoadUsers(t.Context(), users)
	if err != nil || len(stored) != len(users) {
		t.Fatalf("%d outcomes, %v", len(stored), err)
	}
	for i, is := range stored { // the transaction before the refused one has stored its users
		if is == (i < 1000) {
			t.Errorf("user %d is stored by the second call: %v", i, is)
			break
		}
	}
	all, _, err := s.Users(t.Context(), "", 2*len(users))
	if got := events(t, s); err != nil || len(all) != len(users) || len(got) != len(users) {
		t.Errorf("there are %d users and %d events, %v; want %d of each", len(all), len(got), err, len(users))
	}
}
