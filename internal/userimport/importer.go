// Package userimport takes over users from a file of another system: it reads its
// records, and creates the users who are not there yet.
//
// The rules for users are the domain's: what an import needs of it is [Rules].
//
// Start at Parse and Importer.
package userimport

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A Row is one row of an import file and what became of it.
type Row struct {
	Line   int // where it begins in the file, from 1
	Record auth.ImportRecord
	// Refused says why the user was not created. A row may come with it, when it
	// could not even be read; it stays.
	Refused error
	// There: the user was there already, see Importer.
	There bool

	user storage.LoadedUser
}

// fresh reports whether the user is yet to be created.
func (r *Row) fresh() bool { return r.Refused == nil && !r.There }

// An Importer takes over the rows of one file, batch by batch. What it has
// taken is there for good; taking the same rows again changes nothing, so that
// an interrupted import is resumed by running it again.
//
// A row's user is there already when every name that the row gives is the
// user's: by its id, or without one by its password hash. A user with the id and
// the names may have another hash by now: a login replaces weak ones, and owners
// choose new passwords.
//
// It remembers a number per name, not the rows.
type Importer struct {
	rules  Rules
	store  Store
	dryRun bool
	// seen holds the line of each name by its hash. Two of a million names share
	// a hash once in ten million files, and then a row is refused that a second
	// run takes.
	seen map[uint64]int
	seed maphash.Seed
}

// Rules are those of users; an auth.Service.
type Rules interface {
	// ImportedUser returns the user of the record and stores nothing. Its error says
	// why there can be no such user.
	ImportedUser(r auth.ImportRecord) (storage.LoadedUser, error)
}

// A Store takes in users, and knows who is there already.
type Store interface {
	storage.Loader
	User(ctx context.Context, id storage.UserID) (storage.User, error)
	UserByUsername(ctx context.Context, key string) (storage.User, int, error)
	UserByEmail(ctx context.Context, key string) (storage.User, int, error)
	UserDeleted(ctx context.Context, id storage.UserID) (bool, error)
}

// New returns an Importer. With dryRun it decides and reports, and creates nothing.
func New(rules Rules, store Store, dryRun bool) *Importer {
	return &Importer{rules: rules, store: store, dryRun: dryRun, seen: make(map[uint64]int), seed: maphash.MakeSeed()}
}

// Take creates the users of the rows unless some are refused, and notes in each row what
// became of it. An error means that the store could not be used: some of the rows may
// have been taken, and none of it is noted.
func (im *Importer) Take(ctx context.Context, rows []Row) error {
	for i := range rows {
		if r := &rows[i]; r.Refused == nil {
			if r.user, r.Refused = im.rules.ImportedUser(r.Record); r.Refused == nil {
				r.Refused = im.claim(r)
			}
		}
	}
	// In most files every user is new: to look first would double the time.
	left, err := im.load(ctx, rows)
	if err != nil {
		return fmt.Errorf("storing users: %w", err)
	}
	for _, r := range left {
		if err := im.look(ctx, r); err != nil {
			return err
		}
		if !im.dryRun && r.fresh() {
			r.Refused = errors.New("its id or a name was in use a moment ago; run the import again")
		}
	}
	return nil
}

// load stores the users of the rows, and returns the rows whose users are not stored by
// it.
func (im *Importer) load(ctx context.Context, rows []Row) ([]*Row, error) {
	var fresh, left []*Row
	var users []storage.LoadedUser
	for i := range rows {
		if r := &rows[i]; r.fresh() {
			fresh, users = append(fresh, r), append(users, r.user)
		}
	}
	if im.dryRun || len(fresh) == 0 {
		return fresh, nil
	}
	stored, err := im.store.LoadUsers(ctx, users)
	if err != nil {
		return nil, err
	}
	for i, r := range fresh {
		if !stored[i] {
			left = append(left, r)
		}
	}
	return left, nil
}

// A nameOf is one of the names by which a row's user may be there.
type nameOf struct {
	what string // as people say it: "username ada"
	key  string
	find func(Store, context.Context, string) (storage.User, error)
}

// names are the row's names that nobody else may have, the id first. A random id
// is nobody's.
func (r *Row) names() ([]nameOf, error) {
	var names []nameOf
	if r.Record.ID != "" {
		names = append(names, nameOf{"id " + string(r.user.User.ID), string(r.user.User.ID), func(store Store, ctx context.Context, key string) (storage.User, error) {
			return store.User(ctx, storage.UserID(key))
		}})
	}
	if r.Record.ID != "" || r.Record.Username != "" { // otherwise the username is the random id
		key, err := identifier.UsernameKey(r.user.User.Username)
		if err != nil {
			return nil, err
		}
		names = append(names, nameOf{"username " + r.user.User.Username, key, func(store Store, ctx context.Context, key string) (storage.User, error) {
			u, _, err := store.UserByUsername(ctx, key)
			return u, err
		}})
	}
	if r.user.User.Email != "" {
		key, err := identifier.EmailKey(r.user.User.Email)
		if err != nil {
			return nil, err
		}
		names = append(names, nameOf{"e-mail address " + r.user.User.Email, key, func(store Store, ctx context.Context, key string) (storage.User, error) {
			u, _, err := store.UserByEmail(ctx, key)
			return u, err
		}})
	}
	return names, nil
}

// claim refuses a row one of whose names stands in an earlier one.
func (im *Importer) claim(r *Row) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	hashes := make([]uint64, len(names))
	for i, n := range names {
		kind := byte('@') // an address; usernames hold no @
		if i == 0 && r.Record.ID != "" {
			kind = 'i'
		}
		hashes[i] = maphash.String(im.seed, string(kind)+n.key)
		if first := im.seen[hashes[i]]; first != 0 {
			return fmt.Errorf("%s stands in line %d already", n.what, first)
		}
	}
	for _, h := range hashes {
		im.seen[h] = r.Line
	}
	return nil
}

// look decides whether the user is there, or its names belong to another one.
func (im *Importer) look(ctx context.Context, r *Row) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	for _, n := range names {
		found, err := n.find(im.store, ctx, n.key)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking up user: %w", err)
		}
		r.There, r.Refused = is(r.Record, found, n)
		return nil
	}
	if r.Record.ID == "" {
		return nil
	}
	deleted, err := im.store.UserDeleted(ctx, r.user.User.ID)
	if err != nil {
		return fmt.Errorf("looking up user: %w", err)
	}
	if deleted {
		r.Refused = fmt.Errorf("the user with the id %s has been deleted; leave the id out to add a new user", r.user.User.ID)
	}
	return nil
}

// is reports whether the user who was found by the name is the record's, or why
// not.
func is(r auth.ImportRecord, found storage.User, by nameOf) (bool, error) {
	if r.ID != "" && found.ID != r.ID {
		return false, fmt.Errorf("%s belongs to another user already, with the id %s", by.what, found.ID)
	}
	if r.Username != "" && !sameKey(identifier.UsernameKey, r.Username, found.Username) {
		return false, fmt.Errorf("%s belongs to another user already, with the username %s", by.what, found.Username)
	}
	if r.Email != "" && !sameKey(identifier.EmailKey, r.Email, found.Email) {
		if found.Email == "" {
			return false, fmt.Errorf("%s belongs to another user already, with the id %s and no e-mail address", by.what, found.ID)
		}
		return false, fmt.Errorf("%s belongs to another user already, with the e-mail address %s", by.what, found.Email)
	}
	if r.ID == "" && r.PasswordHash != found.PasswordHash {
		return false, fmt.Errorf("%s belongs to a user with another password already; if that is the same person, give the row the id %s", by.what, found.ID)
	}
	return true, nil
}

func sameKey(key func(string) (string, error), a, b string) bool {
	ka, errA := key(a)
	kb, errB := key(b)
	return errA == nil && errB == nil && ka == kb
}
