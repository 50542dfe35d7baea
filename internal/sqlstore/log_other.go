//go:build !linux

package sqlstore

import (
	"io/fs"
	"os"
	"sync"
)

// logFile is the write-ahead log.
type logFile struct {
	path string // empty: there is none

	mu    sync.Mutex
	first fs.FileInfo // as it was first seen
}

// state fails when it is another log than before: the database may have been
// replaced, and what is written to that one does not show in ours.
func (l *logFile) state() (logState, bool) {
	info, err := os.Stat(l.path)
	if err != nil || info.Mode().Type() != fs.FileMode(0) || !l.same(info) {
		return logState{}, false
	}
	return logState{info.Size(), info.ModTime()}, true
}

func (l *logFile) same(now fs.FileInfo) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = now
	}
	return os.SameFile(l.first, now)
}

func (l *logFile) close() error { return nil }
