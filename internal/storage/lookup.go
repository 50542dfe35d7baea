package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/identifier"
)

// FindUser finds a user by username or e-mail address. ErrNotFound also for names
// that nobody can have.
func FindUser(ctx context.Context, store Store, login string) (User, error) {
	u, _, err := FindLogin(ctx, store, login)
	return u, err
}

// FindLogin is FindUser, and says how many sessions the user has: see
// Store.UserByUsername.
func FindLogin(ctx context.Context, store Store, login string) (u User, sessions int, err error) {
	if strings.Contains(login, "@") {
		key, err := identifier.EmailKey(login)
		if err != nil {
			return User{}, 0, ErrNotFound
		}
		return store.UserByEmail(ctx, key)
	}
	key, err := identifier.UsernameKey(login)
	if err != nil {
		return User{}, 0, ErrNotFound
	}
	return store.UserByUsername(ctx, key)
}

// NamedUser finds the user whom an operator names: by id, username or e-mail
// address. ErrNotFound; [ErrAmbiguous] where the text is the id of one user and the
// username of another.
func NamedUser(ctx context.Context, store Store, text string) (User, error) {
	u, err := FindUser(ctx, store, text)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, err
	}
	byID, idErr := store.User(ctx, UserID(text))
	switch {
	case errors.Is(idErr, ErrNotFound):
		return u, err
	case idErr != nil:
		return User{}, idErr
	case err == nil && u.ID != byID.ID:
		return User{}, ErrAmbiguous
	}
	return byID, nil
}

// usersPage is how many users are read at a time.
const usersPage = 500

// AllUsers yields every user of a store, by id, for those who need no service.
func AllUsers(ctx context.Context, store Store) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for after := Cursor(""); ; {
			page, next, err := store.Users(ctx, after, usersPage)
			if err != nil {
				yield(User{}, fmt.Errorf("reading users: %w", err))
				return
			}
			for _, u := range page {
				if !yield(u, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			after = next
		}
	}
}
