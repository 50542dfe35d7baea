package sqlstore_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// TestIndexKeepsItsLocks closes one of two stores of a file, and one with a
// transaction under way: the locks of what goes on must not go with it. Otherwise the
// next process takes the database for one that nobody uses, and clears the index.
func TestIndexKeepsItsLocks(t *testing.T) {
	for name, closing := range map[string]func(t *testing.T, s, other *sqlstore.Store) error{
		"the other store": func(_ *testing.T, _, other *sqlstore.Store) error { return other.Close() },
		"one at work": func(t *testing.T, s, other *sqlstore.Store) error {
			other.Close()
			tx, err := s.Write().Begin()
			if err != nil {
				return err
			}
			t.Cleanup(func() { tx.Rollback() })
			return s.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "latchkey.db")
			s, other := open(t, path, true), open(t, path, false)
			if err := closing(t, s, other); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path + "-shm")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			// The byte that every connection locks for as long as it is open
			// (sqlite.org/walformat.html). A lock of the description, not the process,
			// would be in its way.
			lock := unix.Flock_t{Type: syscall.F_WRLCK, Start: 128, Len: 1}
			if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
				t.Fatal(err)
			}
			if lock.Type != syscall.F_RDLCK {
				t.Error("the index is not locked any more")
			}
		})
	}
}
