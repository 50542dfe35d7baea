package storage

import "errors"

// What stores say, told apart with errors.Is.
var (
	// ErrUnavailable: the store could not be read or written. Try later.
	ErrUnavailable = errors.New("store unavailable")
	// ErrNotFound: no such user, session or key.
	ErrNotFound = errors.New("not found")
	// ErrTaken: the user id, username or e-mail address belongs to another user.
	ErrTaken = errors.New("already taken")
	// ErrConflict: somebody else changed the record since it was read.
	ErrConflict = errors.New("changed by somebody else")
	// ErrChanges: a list of changes that no store takes. It is a mistake in the program.
	ErrChanges = errors.New("changes that cannot be committed")
)
