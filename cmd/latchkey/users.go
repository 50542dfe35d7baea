package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/auth"
)

type usersCmd struct {
	Add         usersAddCmd         `cmd:"" help:"Add a user."`
	List        usersListCmd        `cmd:"" help:"List users."`
	Show        usersShowCmd        `cmd:"" help:"Show one user."`
	Update      usersUpdateCmd      `cmd:"" help:"Change a user's scope, name or e-mail address."`
	Invite      usersInviteCmd      `cmd:"" help:"Create a user who chooses a password by a link in a mail."`
	Import      usersImportCmd      `cmd:"" help:"Take over users with their password hashes, from JSON lines or CSV."`
	Export      usersExportCmd      `cmd:"" help:"Write all users with their password hashes, for users import elsewhere."`
	Disable     usersDisableCmd     `cmd:"" help:"Stop a user from logging in and end the user's sessions."`
	Enable      usersEnableCmd      `cmd:"" help:"Let a disabled user log in again."`
	SetPassword usersSetPasswordCmd `cmd:"" help:"Give a user a new password and end the user's sessions."`
	Logout      usersLogoutCmd      `cmd:"" help:"End all of a user's sessions, or everybody's."`
	Delete      usersDeleteCmd      `cmd:"" help:"Delete a user with all sessions."`
}

// withUsers runs f on the service of an initialized data directory. options say
// more about the service.
func withUsers(ctx context.Context, d dataFlags, p *process, f func(*auth.Service) error, options ...func(*auth.Config) error) error {
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
	case errors.Is(err, auth.ErrTaken):
		return errors.New("the id, username or e-mail address belongs to another user, see `latchkey users list`, or the id to one who has been deleted")
	case errors.Is(err, auth.ErrNotFound):
		return errors.New("there is no such user; see `latchkey users list`, or search with --match TEXT")
	case errors.Is(err, auth.ErrAmbiguous):
		return errors.New("this is the id of one user and the username of another; name the user by the e-mail address, or by the other one of id and username; see `latchkey users list`")
	}
	return err
}

// userArg names a user who is there.
type userArg struct {
	User string `arg:"" help:"Id, username or e-mail address."`
}

type usersAddCmd struct {
	User          string `arg:"" optional:"" help:"Username, or e-mail address: in place of --username or --email."`
	Username      string `help:"Name to log in with. Default, with --email: the new user's id." placeholder:"NAME"`
	Email         string `help:"E-mail address, to log in with too." placeholder:"ADDR"`
	Name          string `help:"Name for people to read." placeholder:"TEXT"`
	Scope         string `help:"What the user may do: words separated by spaces." placeholder:"\"A B\""`
	PasswordStdin bool   `help:"Read the password from standard input instead of asking for it."`
	JSON          bool   `help:"Print JSON."`
	dataFlags
	newPasswordFlags
}

// Validate sorts the argument and refuses what cannot be meant.
func (c *usersAddCmd) Validate() error {
	if err := errors.Join(takeArgument(c.User, &c.Username, &c.Email), checkScopeText(c.Scope)); err != nil {
		return err
	}
	if c.Username == "" && c.Email == "" {
		return errors.New("give a username or an e-mail address: what the user logs in with")
	}
	return c.newPasswordFlags.Validate()
}

// takeArgument puts the argument of add in the place of the flag that it
// stands for.
func takeArgument(arg string, username, email *string) error {
	flag, value := "--username", username
	if strings.Contains(arg, "@") {
		flag, value = "--email", email
	}
	if arg == "" {
		return nil
	}
	if *value != "" && *value != arg {
		return fmt.Errorf("%q and %s %q are both given; keep one", arg, flag, *value)
	}
	*value = arg
	return nil
}

// checkScopeText refuses commas. RFC 6749 allows them inside a scope, but "a,b" is
// nearly always meant as two.
func checkScopeText(scope string) error {
	if !strings.Contains(scope, ",") {
		return nil
	}
	words := strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == ' ' })
	return fmt.Errorf("--scope %q: scopes are separated by spaces: did you mean %q?", scope, strings.Join(words, " "))
}

func (c *usersAddCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		password, err := p.readPassword(c.PasswordStdin)
		if err != nil {
			return err
		}
		u, err := s.AddUser(ctx, auth.NewUser{Username: c.Username, Email: c.Email, Name: c.Name, Scope: c.Scope, Password: password})
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "added")
	}, c.newPasswordFlags.apply)
}

type usersInviteCmd struct {
	Address   string `arg:"" optional:"" name:"email" help:"E-mail address: in place of --email." placeholder:"ADDR"`
	Email     string `help:"E-mail address; the link goes there, and the user logs in with it." placeholder:"ADDR"`
	Username  string `help:"Name to log in with too. Default: the new user's id." placeholder:"NAME"`
	Name      string `help:"Name for people to read." placeholder:"TEXT"`
	Scope     string `help:"What the user may do: words separated by spaces." placeholder:"\"A B\""`
	PublicURL string `name:"public-url" help:"Base of the link: the service's --public-url. Default, in a directory of offline: where offline serves." env:"LATCHKEY_PUBLIC_URL" placeholder:"URL"`
	JSON      bool   `help:"Print JSON."`
	dataFlags
}

// Validate sorts the argument and refuses what cannot be meant.
func (c *usersInviteCmd) Validate() error {
	if c.Address != "" && c.Email != "" && c.Address != c.Email {
		return fmt.Errorf("%q and --email %q are both given; keep one", c.Address, c.Email)
	}
	c.Email = cmp.Or(c.Email, c.Address)
	if c.Email == "" {
		return errors.New("give the e-mail address that the link goes to")
	}
	return errors.Join(checkPublicURL(c.PublicURL), checkScopeText(c.Scope))
}

func (c *usersInviteCmd) Run(ctx context.Context, p *process) error {
	link, err := c.base(ctx, p)
	if err != nil {
		return err
	}
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.Invite(ctx, auth.NewUser{Username: c.Username, Email: c.Email, Name: c.Name, Scope: c.Scope})
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, fmt.Sprintf("is invited; "+link.sent, u.Email))
	}, func(cfg *auth.Config) error {
		cfg.SendsMail, cfg.PublicURL = true, link.url
		return nil
	})
}

// invitation is where its link leads, and in words who sends it to an address.
type invitation struct{ url, sent string }

// base finds both. A store of offline has no public URL: links lead to where
// offline serves.
func (c *usersInviteCmd) base(ctx context.Context, p *process) (invitation, error) {
	i := invitation{c.PublicURL, "a running service with " + envSMTPURL + " sends the mail to %s"}
	local := false
	cfg, err := c.config(p.logger())
	if err != nil {
		return i, err
	}
	if !cfg.InMemory() {
		info, err := app.Inspect(ctx, cfg, "")
		if err != nil && !errors.Is(err, app.ErrNoStore) { // which is explained when it is opened
			return i, err
		}
		local = info.Kind == auth.LocalStore
	}
	switch {
	case !local && i.url == "":
		return i, usagef("--public-url must be set: the link in the mail begins with it; give the one of the service")
	case !local:
		return i, nil
	case i.url == "":
		var err error
		if i.url, err = p.offlineBase(); err != nil {
			return i, err
		}
		fmt.Fprintf(p.stderr, "latchkey: the link leads to %s, where offline serves by its settings; where it serves elsewhere, invite again with --public-url\n", i.url)
	}
	if os.Getenv(envSMTPURL) == "" {
		i.sent = "a running latchkey offline puts the mail to %s into its inbox, " + strings.TrimSuffix(i.url, "/") + "/inbox"
	}
	return i, nil
}

// offlineBase is where offline serves by the variable, the file or the default
// that it reads as well.
func (p *process) offlineBase() (string, error) {
	addr := cmp.Or(os.Getenv("LATCHKEY_ADDR"), p.config.settings["addr"], defaultOfflineAddr)
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "0" {
		return "", usagef("give --public-url: where offline serves cannot be told from the address %q", addr)
	}
	return "http://" + addr, nil
}

type usersListCmd struct {
	Match string `help:"Only users whose id, username, e-mail address or name has this text in it." placeholder:"TEXT"`
	JSON  bool   `help:"Print one JSON object per line."`
	dataFlags
}

func (c *usersListCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		t := p.newTable(usersColumns)
		for u, err := range s.Users(ctx) {
			switch {
			case err != nil:
				return err
			case !matchesUser(u, c.Match):
				continue
			case !c.JSON:
				t.add(string(u.ID), ownUsername(u), u.Email, printable(u.Name), u.Scope, userState(u))
				continue
			}
			if err := printLine(p.stdout, u); err != nil {
				return err
			}
		}
		if c.JSON {
			return nil
		}
		return t.flush()
	})
}

// usersColumns: on a narrow terminal the scope and name give way first. The id is
// never shortened: people copy it.
var usersColumns = []column{{title: "ID"}, {title: "USERNAME", min: 12}, {title: "EMAIL", min: 16}, {title: "NAME", min: 8, yields: 1}, {title: "SCOPE", min: 8, yields: 2}, {title: "STATE"}}

// matchesUser searches without regard to case.
func matchesUser(u auth.User, text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{string(u.ID), u.Username, u.Email, u.Name}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), text)
	})
}

type usersShowCmd struct {
	userArg
	JSON bool `help:"Print JSON."`
	dataFlags
}

func (c *usersShowCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.NamedUser(ctx, c.User)
		if err != nil {
			return err
		}
		if c.JSON {
			return printLine(p.stdout, u)
		}
		t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		for _, line := range [][2]string{
			{"id", string(u.ID)}, {"username", ownUsername(u)}, {"email", u.Email}, {"name", printable(u.Name)}, {"scope", u.Scope}, {"state", userState(u)},
			{"created", u.CreatedAt.UTC().Format(time.RFC3339)}, {"changed", u.UpdatedAt.UTC().Format(time.RFC3339)},
		} {
			fmt.Fprintf(t, "%s\t%s\n", line[0], cmp.Or(line[1], "-"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stderr, "see also: latchkey events --user %s%s\n", u.ID, c.again())
		return err
	})
}

// printable keeps control characters of free text off the terminal.
func printable(text string) string {
	return strings.Trim(strconv.Quote(text), `"`)
}

func userState(u auth.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.PasswordHash == "" && !u.EmailVerified && u.Email != "":
		return "invited"
	case u.PasswordHash == "":
		return "no password"
	case u.Email != "" && !u.EmailVerified:
		return "unverified"
	}
	return "active"
}

type usersUpdateCmd struct {
	userArg
	Scope *string `help:"New scope; an empty one takes all away." placeholder:"\"A B\""`
	Name  *string `help:"New name for people to read." placeholder:"TEXT"`
	Email *string `help:"New e-mail address; an empty one removes it." placeholder:"ADDR"`
	JSON  bool    `help:"Print JSON."`
	dataFlags
}

// Validate refuses a command that changes nothing.
func (c *usersUpdateCmd) Validate() error {
	if c.Scope == nil && c.Name == nil && c.Email == nil {
		return errors.New("nothing to change: give --scope, --name or --email")
	}
	if c.Scope != nil {
		return checkScopeText(*c.Scope)
	}
	return nil
}

func (c *usersUpdateCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.UpdateUser(ctx, c.User, func(u *auth.User) {
			for _, change := range []struct {
				to   *string
				from *string
			}{{&u.Scope, c.Scope}, {&u.Name, c.Name}, {&u.Email, c.Email}} {
				if change.from != nil {
					*change.to = *change.from
				}
			}
		})
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "updated; tokens issued before keep the old values until they expire")
	})
}

type usersDisableCmd struct {
	userArg
	Enable bool `help:"Let the user log in again, as users enable does." hidden:""`
	JSON   bool `help:"Print JSON."`
	dataFlags
}

func (c *usersDisableCmd) Run(ctx context.Context, p *process) error {
	if c.Enable {
		return (&usersEnableCmd{c.userArg, c.JSON, c.dataFlags}).Run(ctx, p)
	}
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.Disable(ctx, c.User, true)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "disabled; access tokens issued before are good at authorizers until they expire")
	})
}

type usersEnableCmd struct {
	userArg
	JSON bool `help:"Print JSON."`
	dataFlags
}

func (c *usersEnableCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.Disable(ctx, c.User, false)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "enabled; the user has to log in again")
	})
}

type usersLogoutCmd struct {
	User string `arg:"" optional:"" help:"Id, username or e-mail address."`
	All  bool   `help:"End every session of every user, and void the links and codes that were mailed to them: after a restore."`
	Yes  bool   `help:"With --all: do not ask."`
	JSON bool   `help:"Print JSON."`
	dataFlags
}

// Validate refuses what leaves open who is meant.
func (c *usersLogoutCmd) Validate() error {
	switch {
	case c.All && c.User != "":
		return errors.New("name a user or give --all, not both")
	case !c.All && c.User == "":
		return errors.New("name the user, or give --all for everybody")
	}
	return nil
}

func (c *usersLogoutCmd) Run(ctx context.Context, p *process) error {
	if c.All {
		return c.everybody(ctx, p)
	}
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.EndSessions(ctx, c.User)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "is logged out everywhere; access tokens issued before are good at authorizers until they expire")
	})
}

func (c *usersLogoutCmd) everybody(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		if err := p.confirm(c.Yes, "End every session of every user, and void the links and codes in mails?"); err != nil {
			return err
		}
		bar, users := p.newProgress("ending sessions", "user", 0), 0
		err := s.EndAllSessions(ctx, func(n int) {
			users = n
			bar.show(n, 0)
		})
		bar.clear()
		if err != nil {
			return fmt.Errorf("after %s, run it again: %w", count(users, "user"), err)
		}
		if c.JSON {
			return printLine(p.stdout, map[string]int{"users": users})
		}
		_, err = fmt.Fprintf(p.stdout, "%s logged out everywhere, and links and codes in mails are void; access tokens issued before are good at authorizers until they expire\n", count(users, "user"))
		return err
	})
}

type usersDeleteCmd struct {
	userArg
	Yes  bool `help:"Do not ask."`
	JSON bool `help:"Print JSON."`
	dataFlags
}

func (c *usersDeleteCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		u, err := s.NamedUser(ctx, c.User)
		if err != nil {
			return err
		}
		if err := p.confirm(c.Yes, fmt.Sprintf("Delete %s for good?", who(u))); err != nil {
			return err
		}
		if err := s.DeleteUser(ctx, u.ID); err != nil { // the one who was shown
			return err
		}
		return p.showUser(u, c.JSON, "deleted; access tokens issued before are good at authorizers until they expire")
	})
}

// confirm asks at the terminal, unless yes was said before.
func (p *process) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	f, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return usagef("standard input is no terminal to ask on; confirm with --yes")
	}
	fmt.Fprint(p.stderr, question+" [y/N] ")
	answer, err := bufio.NewReader(f).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

type usersSetPasswordCmd struct {
	userArg
	PasswordStdin bool `help:"Read the password from standard input instead of asking for it."`
	JSON          bool `help:"Print JSON."`
	dataFlags
	newPasswordFlags
}

func (c *usersSetPasswordCmd) Run(ctx context.Context, p *process) error {
	return withUsers(ctx, c.dataFlags, p, func(s *auth.Service) error {
		password, err := p.readPassword(c.PasswordStdin)
		if err != nil {
			return err
		}
		u, err := s.SetPassword(ctx, c.User, password)
		if err != nil {
			return err
		}
		return p.showUser(u, c.JSON, "has a new password; all sessions have ended")
	}, c.newPasswordFlags.apply)
}

// showUser tells what was done to whom.
func (p *process) showUser(u auth.User, asJSON bool, done string) error {
	if asJSON {
		return printLine(p.stdout, u)
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s\n", who(u), done)
	return err
}

// label is what people call a user: the username, or the address of one who has
// none. Empty: the id is all there is.
func label(u auth.User) string { return cmp.Or(ownUsername(u), u.Email) }

// ownUsername is empty for a user in whose username's place the id stands.
func ownUsername(u auth.User) string {
	if u.Username == string(u.ID) {
		return ""
	}
	return u.Username
}

// who is a user as messages name it.
func who(u auth.User) string {
	if l := label(u); l != "" {
		return fmt.Sprintf("%s (id %s)", l, u.ID)
	}
	return string(u.ID)
}

// maxPasswordInput is above password.MaxLength, which then says what is wrong.
const maxPasswordInput = 4096

// readPassword asks at the terminal, twice, or takes the first line of standard
// input.
func (p *process) readPassword(fromStdin bool) (string, error) {
	if fromStdin {
		line, err := bufio.NewReader(io.LimitReader(p.stdin, maxPasswordInput)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return "", usagef("there is no password on standard input")
		}
		return line, nil
	}
	f, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", usagef("standard input is no terminal to ask for the password on; give it with --password-stdin")
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(p.stderr, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.stderr)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ")
	}
	return typed[0], nil
}
