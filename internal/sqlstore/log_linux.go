package sqlstore

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// logFile is the write-ahead log, open. To ask by descriptor spares the way along
// the path, most of the work of looking.
type logFile struct {
	path string // empty: there is none
	file atomic.Pointer[os.File]
}

// state fails when the log has no name any more: the database was removed, and
// what is written to the next one does not show in ours. One that was moved is
// still the one that SQLite reads here; that the database is not where it was
// shows when something is written (inPlace).
func (l *logFile) state() (logState, bool) {
	f, err := l.open()
	if err != nil {
		return logState{}, false
	}
	var info syscall.Stat_t
	if syscall.Fstat(int(f.Fd()), &info) != nil || info.Nlink == 0 || info.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return logState{}, false
	}
	return logState{info.Size, time.Unix(info.Mtim.Unix())}, true
}

func (l *logFile) open() (*os.File, error) {
	if f := l.file.Load(); f != nil {
		return f, nil
	}
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	if !l.file.CompareAndSwap(nil, f) { // another was first
		f.Close()
	}
	return l.file.Load(), nil
}

// close is for when nobody looks any more.
func (l *logFile) close() error {
	if f := l.file.Load(); f != nil {
		return f.Close()
	}
	return nil
}
