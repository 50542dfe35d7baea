//go:build unix

package sqlstore

import (
	"os"
	"sync"
	"syscall"
)

// index is the shared memory beside a database, open.
type index struct {
	file *os.File
	fd   int
	key  indexKey
}

// indexes are those of this process. Closing any descriptor of a file drops all
// locks that the process has on it (POSIX), and SQLite's are on this one: it is
// closed when no store uses it any more.
var indexes = struct {
	sync.Mutex
	open map[indexKey]*indexUse
}{open: make(map[indexKey]*indexUse)}

type indexKey struct{ device, inode uint64 }

type indexUse struct {
	stores int
	files  []*os.File
}

// open is for a database that is open and stays so until close.
func (x *index) open(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	// From here on nothing may close it but close.
	indexes.Lock()
	defer indexes.Unlock()
	var info syscall.Stat_t
	fd := int(f.Fd())
	if err := syscall.Fstat(fd, &info); err != nil {
		return err
	}
	key := indexKey{uint64(info.Dev), info.Ino}
	use := indexes.open[key]
	if use == nil {
		use = &indexUse{}
		indexes.open[key] = use
	}
	use.stores++
	use.files = append(use.files, f)
	*x = index{f, fd, key}
	return nil
}

// close is for when this store's connections are closed and nobody looks any more.
func (x *index) close() {
	if x.file == nil {
		return
	}
	indexes.Lock()
	defer indexes.Unlock()
	x.file = nil
	use := indexes.open[x.key]
	if use.stores--; use.stores > 0 {
		return
	}
	delete(indexes.open, x.key)
	for _, f := range use.files {
		f.Close()
	}
}

// state fails when it cannot be told: while a commit is being shown, and for good
// when the index has no name any more. Then the database was removed, and what is
// written to the next one does not show in this.
func (x *index) state() (indexState, bool) {
	var info syscall.Stat_t
	if x.file == nil || syscall.Fstat(x.fd, &info) != nil || info.Nlink == 0 {
		return indexState{}, false
	}
	var header [2 * len(indexState{})]byte
	n, err := syscall.Pread(x.fd, header[:], 0)
	return headerState(header, err == nil && n == len(header))
}
