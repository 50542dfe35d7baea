// Package userimport takes over users from a file of another system: it reads its
// records, and creates the users who are not there yet.
//
// The rules for users are the domain's, and it creates them; what an import needs of it
// is [Users].
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

	user auth.User
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
	users  Users
	known  Known
	dryRun bool
	// seen holds the line of each name by its hash. Two of a million names share
	// a hash once in ten million files, and then a row is refused that a second
	// run takes.
	seen map[uint64]int
	seed maphash.Seed
}

// Users applies the rules of users to records, and creates users; an auth.Service.
type Users interface {
	// ImportedUser returns the user of the record and stores nothing. Its error says
	// why there can be no such user.
	ImportedUser(r auth.ImportRecord) (auth.User, error)
	// CreateImported creates users that ImportedUser has returned, all of them or none.
	// auth.ErrTaken.
	CreateImported(ctx context.Context, users []auth.User) error
}

// Known looks up who is there already, as an auth.Store does. auth.ErrNotFound.
type Known interface {
	User(ctx context.Context, id auth.UserID) (auth.User, error)
	UserByUsername(ctx context.Context, key string) (auth.User, error)
	UserByEmail(ctx context.Context, key string) (auth.User, error)
	UserDeleted(ctx context.Context, id auth.UserID) (bool, error)
}

// New returns an Importer. With dryRun it decides and reports, and creates nothing.
func New(users Users, known Known, dryRun bool) *Importer {
	return &Importer{users: users, known: known, dryRun: dryRun, seen: make(map[uint64]int), seed: maphash.MakeSeed()}
}

// Take creates the users of the rows, in one commit unless some are refused,
// and notes in each row what became of it. An error means that the store could
// not be used: some of the rows may have been taken, and none of it is noted.
func (im *Importer) Take(ctx context.Context, rows []Row) error {
	for i := range rows {
		if r := &rows[i]; r.Refused == nil {
			if r.user, r.Refused = im.users.ImportedUser(r.Record); r.Refused == nil {
				r.Refused = im.claim(r)
			}
		}
	}
	if !im.dryRun {
		// In most files every user is new: to look first would double the time.
		err := im.users.CreateImported(ctx, freshUsers(rows))
		if !errors.Is(err, auth.ErrTaken) {
			return storing(err)
		}
	}
	for i := range rows {
		if r := &rows[i]; r.fresh() {
			if err := im.look(ctx, r); err != nil {
				return err
			}
		}
	}
	if im.dryRun {
		return nil
	}
	err := im.users.CreateImported(ctx, freshUsers(rows))
	if !errors.Is(err, auth.ErrTaken) {
		return storing(err)
	}
	return im.oneByOne(ctx, rows)
}

func storing(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("storing users: %w", err)
}

// oneByOne is for names that another user has taken since they were looked up.
func (im *Importer) oneByOne(ctx context.Context, rows []Row) error {
	for i := range rows {
		r := &rows[i]
		if !r.fresh() {
			continue
		}
		err := im.users.CreateImported(ctx, []auth.User{r.user})
		if errors.Is(err, auth.ErrTaken) {
			if err = im.look(ctx, r); err == nil && r.fresh() {
				r.Refused = errors.New("its id or a name was in use a moment ago; run the import again")
			}
		}
		if err != nil {
			return storing(err)
		}
	}
	return nil
}

func freshUsers(rows []Row) []auth.User {
	var users []auth.User
	for i := range rows {
		if r := &rows[i]; r.fresh() {
			users = append(users, r.user)
		}
	}
	return users
}

// A nameOf is one of the names by which a row's user may be there.
type nameOf struct {
	what string // as people say it: "username ada"
	key  string
	find func(Known, context.Context, string) (auth.User, error)
}

// names are the row's names that nobody else may have, the id first. A random id
// is nobody's.
func (r *Row) names() ([]nameOf, error) {
	var names []nameOf
	if r.Record.ID != "" {
		names = append(names, nameOf{"id " + string(r.user.ID), string(r.user.ID), func(known Known, ctx context.Context, key string) (auth.User, error) {
			return known.User(ctx, auth.UserID(key))
		}})
	}
	if r.Record.ID != "" || r.Record.Username != "" { // otherwise the username is the random id
		key, err := identifier.UsernameKey(r.user.Username)
		if err != nil {
			return nil, err
		}
		names = append(names, nameOf{"username " + r.user.Username, key, func(known Known, ctx context.Context, key string) (auth.User, error) {
			return known.UserByUsername(ctx, key)
		}})
	}
	if r.user.Email != "" {
		key, err := identifier.EmailKey(r.user.Email)
		if err != nil {
			return nil, err
		}
		names = append(names, nameOf{"e-mail address " + r.user.Email, key, func(known Known, ctx context.Context, key string) (auth.User, error) {
			return known.UserByEmail(ctx, key)
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
		found, err := n.find(im.known, ctx, n.key)
		if errors.Is(err, auth.ErrNotFound) {
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
	deleted, err := im.known.UserDeleted(ctx, r.user.ID)
	if err != nil {
		return fmt.Errorf("looking up user: %w", err)
	}
	if deleted {
		r.Refused = fmt.Errorf("the user with the id %s has been deleted; leave the id out to add somebody anew", r.user.ID)
	}
	return nil
}

// is reports whether the user who was found by the name is the record's, or why
// not.
func is(r auth.ImportRecord, found auth.User, by nameOf) (bool, error) {
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
