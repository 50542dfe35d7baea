package auth

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"
)

// Import creates the users, all of them or none. *InvalidError, ErrTaken.
func (s *Service) Import(ctx context.Context, records []ImportRecord) error {
	users := make([]User, 0, len(records))
	for _, r := range records {
		u, err := s.importedUser(r)
		if err != nil {
			return err
		}
		users = append(users, u)
	}
	return s.createImported(ctx, users)
}

// clockSkew is how far ahead the clock may be that made a record.
const clockSkew = 24 * time.Hour

// importedUser applies the rules of newUser, and those of the further members.
func (s *Service) importedUser(r ImportRecord) (User, error) {
	u, err := s.newUser(r.NewUser)
	if err != nil {
		return User{}, err
	}
	u.PasswordHash, u.Disabled = r.PasswordHash, r.Disabled
	if !r.CreatedAt.IsZero() {
		if r.CreatedAt.Unix() <= 0 || r.CreatedAt.After(s.Now().Add(clockSkew)) {
			return User{}, invalid("created_at", "must lie after 1970 and not in the future")
		}
		u.CreatedAt = r.CreatedAt.UTC().Truncate(time.Microsecond) // as stores keep it
	}
	return u, nil
}

func (s *Service) createImported(ctx context.Context, users []User) error {
	if len(users) == 0 {
		return nil
	}
	b := Batch{CreateUsers: users}
	for _, u := range users {
		b.Events = append(b.Events, s.adminEvent(EventImported, u))
	}
	return s.Store.Commit(ctx, b)
}

// An ImportRow is one row of an import file and what became of it.
type ImportRow struct {
	Line   int // where it begins in the file, from 1
	Record ImportRecord
	// Refused says why the user was not created. A row may come with it, when it
	// could not even be read; it stays.
	Refused error
	// There: the user was there already, see Importer.
	There bool

	user User
}

// fresh reports whether the user is yet to be created.
func (r *ImportRow) fresh() bool { return r.Refused == nil && !r.There }

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
	service *Service
	dryRun  bool
	// seen holds the line of each name by its hash. Two of a million names share
	// a hash once in ten million files, and then a row is refused that a second
	// run takes.
	seen map[uint64]int
	seed maphash.Seed
}

// NewImporter returns an Importer. With dryRun it decides and reports, and
// creates nothing.
func (s *Service) NewImporter(dryRun bool) *Importer {
	return &Importer{service: s, dryRun: dryRun, seen: make(map[uint64]int), seed: maphash.MakeSeed()}
}

// Take creates the users of the rows, in one commit unless some are refused,
// and notes in each row what became of it. An error means that the store could
// not be used: some of the rows may have been taken, and none of it is noted.
func (im *Importer) Take(ctx context.Context, rows []ImportRow) error {
	for i := range rows {
		if r := &rows[i]; r.Refused == nil {
			if r.user, r.Refused = im.service.importedUser(r.Record); r.Refused == nil {
				r.Refused = im.claim(r)
			}
		}
	}
	if !im.dryRun {
		// Most files hold nobody who is there: asking first would double the time.
		err := im.service.createImported(ctx, freshUsers(rows))
		if !errors.Is(err, ErrTaken) {
			return wrap("storing users", err)
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
	err := im.service.createImported(ctx, freshUsers(rows))
	if !errors.Is(err, ErrTaken) {
		return wrap("storing users", err)
	}
	return im.oneByOne(ctx, rows)
}

// oneByOne is for names that somebody else has taken since they were looked up.
func (im *Importer) oneByOne(ctx context.Context, rows []ImportRow) error {
	for i := range rows {
		r := &rows[i]
		if !r.fresh() {
			continue
		}
		err := im.service.createImported(ctx, []User{r.user})
		if errors.Is(err, ErrTaken) {
			if err = im.look(ctx, r); err == nil && r.fresh() {
				r.Refused = errors.New("its id or a name was in use a moment ago; run the import again")
			}
		}
		if err != nil {
			return wrap("storing users", err)
		}
	}
	return nil
}

func freshUsers(rows []ImportRow) []User {
	var users []User
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
	find func(*Service, context.Context, string) (User, error)
}

// names are the row's names that nobody else may have, the id first. A random id
// is nobody's.
func (r *ImportRow) names() ([]nameOf, error) {
	var names []nameOf
	if r.Record.ID != "" {
		names = append(names, nameOf{"id " + string(r.user.ID), string(r.user.ID), func(s *Service, ctx context.Context, key string) (User, error) {
			return s.Store.User(ctx, UserID(key))
		}})
	}
	if r.Record.ID != "" || r.Record.Username != "" { // or else the username is the random id
		key, err := UsernameKey(r.user.Username)
		if err != nil {
			return nil, err
		}
		names = append(names, nameOf{"username " + r.user.Username, key, func(s *Service, ctx context.Context, key string) (User, error) {
			return s.Store.UserByUsername(ctx, key)
		}})
	}
	if r.user.Email != "" {
		key, err := EmailKey(r.user.Email)
		if err != nil {
			return nil, err
		}
		names = append(names, nameOf{"e-mail address " + r.user.Email, key, func(s *Service, ctx context.Context, key string) (User, error) {
			return s.Store.UserByEmail(ctx, key)
		}})
	}
	return names, nil
}

// claim refuses a row one of whose names stands in an earlier one.
func (im *Importer) claim(r *ImportRow) error {
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
func (im *Importer) look(ctx context.Context, r *ImportRow) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	for _, n := range names {
		found, err := n.find(im.service, ctx, n.key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking up user: %w", err)
		}
		r.There, r.Refused = r.Record.is(found, n)
		return nil
	}
	if r.Record.ID == "" {
		return nil
	}
	deleted, err := im.service.Store.UserDeleted(ctx, r.user.ID)
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
func (r ImportRecord) is(found User, by nameOf) (bool, error) {
	if r.ID != "" && found.ID != r.ID {
		return false, fmt.Errorf("%s belongs to another user already, with the id %s", by.what, found.ID)
	}
	if r.Username != "" && !sameKey(UsernameKey, r.Username, found.Username) {
		return false, fmt.Errorf("%s belongs to another user already, with the username %s", by.what, found.Username)
	}
	if r.Email != "" && !sameKey(EmailKey, r.Email, found.Email) {
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
