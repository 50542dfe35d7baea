package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

type usersCmd struct {
	Add         usersAddCmd         `cmd:"" help:"Add a user."`
	List        usersListCmd        `cmd:"" help:"List users."`
	Show        usersShowCmd        `cmd:"" help:"Show one user."`
	Update      usersUpdateCmd      `cmd:"" help:"Change a user's scope, roles, attributes, name or e-mail address."`
	Invite      usersInviteCmd      `cmd:"" help:"Create a user who chooses a password by a link in a mail."`
	Import      usersImportCmd      `cmd:"" help:"Take over users with their password hashes, from JSON lines or CSV."`
	Export      usersExportCmd      `cmd:"" help:"Write all users with their password hashes, for users import elsewhere."`
	Disable     usersDisableCmd     `cmd:"" help:"Stop a user from logging in and end the user's sessions."`
	Enable      usersEnableCmd      `cmd:"" help:"Let a disabled user log in again."`
	SetPassword usersSetPasswordCmd `cmd:"" help:"Give a user a new password and end the user's sessions."`
	Logout      usersLogoutCmd      `cmd:"" help:"End all of a user's sessions, or everybody's."`
	Delete      usersDeleteCmd      `cmd:"" help:"Delete a user with all sessions."`
}

// An opener opens the store that its flags name.
type opener interface {
	open(ctx context.Context, log *slog.Logger) (*app.Storage, error)
}

// withUsers runs f on the service of an initialized store. options say
// more about the service.
func withUsers(ctx context.Context, d opener, p *process, f func(*auth.Service) error, options ...func(*auth.Config) error) error {
	s, err := d.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	service, err := s.Accounts(options...)
	if err != nil {
		return err
	}
	return explainUser(f(service))
}

// newPasswordFlags are of commands that set a password.
type newPasswordFlags struct {
	hashFlags
	passwordFlags
}

// apply is an option of withUsers.
func (f newPasswordFlags) apply(cfg *auth.Config) (err error) {
	if cfg.Hasher, err = app.NewHasher(f.Argon2); err != nil {
		return err
	}
	cfg.Passwords, err = app.PasswordRules(f.MinPassword, f.BreachedPasswords)
	return err
}

// explainUser says what to do about the domain's errors.
func explainUser(err error) error {
	switch {
	case errors.Is(err, storage.ErrTaken):
		return errors.New("the id, username or e-mail address belongs to another user, see `latchkey users list`, or the id to one who has been deleted")
	case errors.Is(err, storage.ErrNotFound):
		return errors.New("there is no such user; see `latchkey users list`, or search with --match TEXT")
	case errors.Is(err, storage.ErrAmbiguous):
		return errors.New("this is the id of one user and the username of another; name the user by the e-mail address, or by the other one of id and username; see `latchkey users list`")
	}
	return err
}

// userArg names a user who is there.
type userArg struct {
	User string `arg:"" help:"Id, username or e-mail address."`
}

// showUser tells what was done to whom.
func (p *process) showUser(u storage.User, asJSON bool, done string) error {
	if asJSON {
		return printLine(p.stdout, u)
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s\n", who(u), done)
	return err
}

// label is what people call a user: the username, or the address of one who has
// none. Empty: the id is all there is.
func label(u storage.User) string { return cmp.Or(ownUsername(u), u.Email) }

// ownUsername is empty for a user in whose username's place the id stands.
func ownUsername(u storage.User) string {
	if u.Username == string(u.ID) {
		return ""
	}
	return u.Username
}

// who is a user as messages name it.
func who(u storage.User) string {
	if l := label(u); l != "" {
		return fmt.Sprintf("%s (id %s)", l, u.ID)
	}
	return string(u.ID)
}
