package storage

import "errors"

// What stores say, and look-ups in them, told apart with errors.Is.
var (
	// ErrUnavailable: the store could not be read or written. Try later.
	ErrUnavailable = errors.New("store unavailable")
	// ErrNotFound: no such user, session or key.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: the text is the id of one user and the username of another.
	ErrAmbiguous = errors.New("names two users")
	// ErrTaken: the user id, username or e-mail address belongs to another user.
	ErrTaken = errors.New("already taken")
	// ErrConflict: somebody else changed the record since it was read.
	ErrConflict = errors.New("changed by somebody else")
	// ErrChanges: a list of changes that no store takes. It is a mistake in the program.
	ErrChanges = errors.New("changes that cannot be committed")
)
