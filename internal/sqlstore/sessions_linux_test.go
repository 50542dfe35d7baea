package sqlstore_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestIndexKeepsItsLocks closes one of two stores of a file: the other one's locks
// on the index must not go with it, or else the next process takes the database for
// one that nobody uses, and clears the index.
func TestIndexKeepsItsLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s, other := open(t, path, true), open(t, path, false)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path + "-shm")
	if err != nil {
		t.Fatal(err)
	}
	// In this order: to close it drops the locks.
	t.Cleanup(func() { s.Close(); f.Close() })
	// The byte that every connection locks for as long as it is open
	// (sqlite.org/walformat.html). A lock of the description, not the process, would
	// be in its way.
	lock := unix.Flock_t{Type: syscall.F_WRLCK, Start: 128, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		t.Fatal(err)
	}
	if lock.Type != syscall.F_RDLCK {
		t.Error("the index is not locked any more")
	}
}
