package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// dataFlags say where things are kept.
type dataFlags struct {
	Store         string `help:"Where everything is kept: sqlite:PATH, postgres://USER@HOST/DATABASE, or dynamodb://TABLE?region=REGION. Default: sqlite:DATA/latchkey.db." env:"LATCHKEY_STORE" placeholder:"ADDRESS"`
	Data          string `help:"Directory of the master key, and of the database unless --store names another; :memory: keeps nothing (${default})." env:"LATCHKEY_DATA" default:".latchkey" placeholder:"DIR"`
	MasterKeyFile string `help:"File of the master key, in place of DATA/master.key." env:"LATCHKEY_MASTER_KEY_FILE" type:"path" placeholder:"FILE"`
}

// trailFlags are of commands that write events.
type trailFlags struct {
	dataFlags
	EventRetention time.Duration `help:"How long the audit trail is kept (${default})." env:"LATCHKEY_EVENT_RETENTION" default:"2160h" placeholder:"DURATION"`
}

// again is what a further command has to be given to find the same store.
func (f dataFlags) again() string {
	if f.Store == "" && f.Data == app.DefaultData {
		return ""
	}
	return f.place().Arguments()
}

// address is that of the store; the zero value is the default.
func (f dataFlags) address() (app.StoreAddress, error) {
	if f.Store == "" {
		return app.StoreAddress{}, nil
	}
	a, err := app.ParseStoreAddress(f.Store)
	if err != nil {
		return a, usagef("--store: %v", err)
	}
	return a, nil
}

// place is enough of a configuration to name the store.
func (f dataFlags) place() app.Config {
	a, _ := f.address()
	return app.Config{Store: a, Data: f.Data, MasterKeyFile: f.MasterKeyFile, MasterKey: app.Secret(os.Getenv(envMasterKey))}
}

// config is of a command on the store.
func (f dataFlags) config(log *slog.Logger) (app.Config, error) {
	a, err := f.address()
	if err != nil {
		return app.Config{}, err
	}
	secret := os.Getenv(awslambda.EnvSecret)
	until, _ := awslambda.AcceptUntil(os.Getenv(awslambda.EnvUntil), secret) // checkEnvironment reports what is wrong with it
	return app.Config{
		Store: a, Data: f.Data, MasterKeyFile: f.MasterKeyFile, MasterKey: app.Secret(os.Getenv(envMasterKey)),
		TokenSecret: app.Secret(secret), TokenSecretUntil: until, AccessTokenTTL: maxTokenTTL, Log: log,
	}, nil
}

// config also says for how long events are kept.
func (f trailFlags) config(log *slog.Logger) (app.Config, error) {
	cfg, err := f.dataFlags.config(log)
	cfg.EventRetention = f.EventRetention
	return cfg, err
}

// open opens the store, of either kind, for a command that issues no tokens.
func (f dataFlags) open(ctx context.Context, log *slog.Logger) (*app.Storage, error) {
	return f.openBy(ctx, log, f.config)
}

func (f trailFlags) open(ctx context.Context, log *slog.Logger) (*app.Storage, error) {
	return f.openBy(ctx, log, f.config)
}

func (f dataFlags) openBy(ctx context.Context, log *slog.Logger, config func(*slog.Logger) (app.Config, error)) (*app.Storage, error) {
	cfg, err := config(log)
	if err != nil {
		return nil, err
	}
	s, err := app.Open(ctx, cfg)
	return s, f.explain(err)
}

// explain says what to do about a store that is refused.
func (f dataFlags) explain(err error) error {
	var other *storage.KindError
	switch {
	case errors.Is(err, app.ErrNoStore):
		return f.noStore(err)
	case errors.As(err, &other):
		return f.explainKind(other)
	}
	return err
}

// envMasterKey holds the key itself, and so is no flag.
const envMasterKey = "LATCHKEY_MASTER_KEY"

// envStore may hold a password, which the flag may not.
const envStore = "LATCHKEY_STORE"

// noStore says what to do where there is none.
func (f dataFlags) noStore(err error) error {
	c := f.place()
	if c.Store.Scheme == "" {
		return fmt.Errorf("there is no database in %s; create it with `latchkey init --data %s`, or name the right directory with --data", f.Data, f.Data)
	}
	reason := ""
	if err != app.ErrNoStore {
		reason = fmt.Sprintf(" (%v)", err)
	}
	if errors.Is(err, sqlstore.ErrNoSuchDatabase) {
		return fmt.Errorf("%s is not there; make the database as its administrator, then run `latchkey init%s`, or name the right one with --store%s", c.Place(), c.Arguments(), reason)
	}
	return fmt.Errorf("%s is not there, or is not initialised; create what is missing with `latchkey init%s`, or name the right one with --store%s", c.Place(), c.Arguments(), reason)
}

// noun is what people call the store, and flag what names another one.
func (f dataFlags) noun() (noun, flag string) {
	if f.Store == "" {
		return "directory", "--data DIR"
	}
	return "store", "--store ADDRESS"
}

// explainKind says what to do about a store of the other kind.
func (f dataFlags) explainKind(e *storage.KindError) error {
	place := f.place()
	noun, flag := f.noun()
	switch {
	case e.Found == storage.LocalStore:
		return fmt.Errorf("%s belongs to offline: it is marked for this machine alone, and its demo user %s has a known password. Give this service a %s of its own: latchkey init %s",
			place.Place(), app.DemoUsername, noun, flag)
	case e.Found == storage.UnmarkedStore:
		return fmt.Errorf("%s has no mark, so it counts as a production %s: offline and invoke would add a demo user with a known password and take the mail that waits in it. "+
			"Name another %s with %s; or, if an earlier latchkey offline has made this one, mark it: latchkey store mark --local%s", place.Place(), noun, noun, flag, place.Arguments())
	}
	return fmt.Errorf("%s is a production %s: offline and invoke would add a demo user with a known password and take the mail that waits in it. Name another %s with %s", place.Place(), noun, noun, flag)
}

// checkStoreText refuses an address of a store with a password where others can read it:
// in a process list, or in a file that gets committed.
func checkStoreText(name, value string) error {
	variable, ok := map[string]string{"store": envStore, "from": "LATCHKEY_COPY_FROM", "to": "LATCHKEY_COPY_TO"}[name]
	if !ok || value == "" {
		return nil
	}
	a, err := app.ParseStoreAddress(value)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case a.HasPassword():
		return fmt.Errorf("%s: the address holds a password, which process lists and files show: give the address by %s, or leave the password out and name a file of it in PGPASSFILE", name, variable)
	}
	return nil
}
