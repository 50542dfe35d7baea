//go:build !nosqlite

package sqlstore

import (
	"errors"

	"modernc.org/sqlite"
)

// On a journaling file system a sync of the data alone takes half the time, and
// the data and their length are all that the log needs. Where there is no such
// call SQLite goes on with the other.
func init() { _, _ = sqlite.Fdatasync(true) }

// resultCode is SQLite's extended result code, if the error is one of SQLite.
func resultCode(err error) (code int, found bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code(), true
}
