//go:build linux || darwin || freebsd || dragonfly || illumos

package sqlstore

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// index is the shared memory beside a database, open.
type index struct{ file *os.File }

// indexes are those that this process has opened. They stay open until it ends:
// closing any descriptor of a file drops all locks that the process has on it
// (POSIX), and SQLite's are on this one.
var indexes = struct {
	sync.Mutex
	open map[indexKey]*os.File
}{open: make(map[indexKey]*os.File)}

type indexKey struct{ device, inode uint64 }

func keyOf(info os.FileInfo) indexKey {
	s := info.Sys().(*syscall.Stat_t)
	return indexKey{uint64(s.Dev), uint64(s.Ino)}
}

// open is for a database that is open already.
func (x *index) open(database string) error {
	// SQLite, too, puts it beside the file and not beside links to it.
	database, err := filepath.EvalSymlinks(database)
	if err != nil {
		return err
	}
	path := database + "-shm"
	indexes.Lock()
	defer indexes.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if x.file = indexes.open[keyOf(info)]; x.file != nil {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if info, err = f.Stat(); err != nil {
		return err
	}
	indexes.open[keyOf(info)], x.file = f, f
	return nil
}

// state fails when it cannot be told: while a commit is being shown, and for good
// when the index has no name any more. Then what is written to the next one, which
// has taken its place or that of the whole database, does not show in this.
func (x *index) state() (indexState, bool) {
	if x.file == nil {
		return indexState{}, false
	}
	fd := int(x.file.Fd())
	var info syscall.Stat_t
	if syscall.Fstat(fd, &info) != nil || info.Nlink == 0 {
		return indexState{}, false
	}
	var copies [2 * headerSize]byte
	if n, err := syscall.Pread(fd, copies[:], 0); err != nil || n != len(copies) {
		return indexState{}, false
	}
	return headerState(copies)
}
