package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/dynamo"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// A Store keeps everything, whichever engine it is.
type Store interface {
	transfer.Ports
	storage.Marked
	io.Closer
}

// Storage is the opened store with the keys that it holds. It is not written to while the
// store is copied.
type Storage struct {
	Store
	Keyring *keyring.Keyring

	engine Store // the same without a guard

	cfg    Config
	master keyring.MasterKey
}

// ErrNoStore: nothing is at the address of the store, and Create was not asked for. An
// empty store in the place of a mistyped address would look like the loss of all users.
var ErrNoStore = errors.New("no store")

// Open opens the store and its keys. One of another kind it refuses, by an
// [storage.KindError], before it touches anything; without Create it refuses one in which
// nothing is yet, by [ErrNoStore].
func Open(ctx context.Context, cfg Config) (*Storage, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.checkOwnMasterKey(); err != nil {
		return nil, err
	}
	engine, err := OpenStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	store, err := cfg.guard(ctx, engine)
	if err != nil {
		engine.Close()
		return nil, err
	}
	master, err := cfg.masterKey(ctx, store)
	if err != nil {
		store.Close()
		return nil, err
	}
	keys, err := keyring.Open(ctx, keyring.Config{Store: store, MasterKey: master, TokenTTL: cfg.accessTokenTTL(), Log: cfg.Log})
	if err != nil {
		store.Close()
		if errors.Is(err, keyring.ErrMasterKey) {
			err = fmt.Errorf("%w; give the one it was created with by LATCHKEY_MASTER_KEY or --master-key-file", err)
		}
		return nil, err
	}
	return &Storage{store, keys, engine, cfg, master}, nil
}

// OpenStore is Open for the store alone, without its keys.
func OpenStore(ctx context.Context, cfg Config) (Store, error) {
	if cfg.Create && cfg.usesData() {
		if err := makeDataDirectory(cfg.Data); err != nil {
			return nil, fmt.Errorf("creating the data directory: %w", err)
		}
	}
	return cfg.openEngine(ctx)
}

// openEngine opens the store that the address names.
func (c Config) openEngine(ctx context.Context) (Store, error) {
	switch a := c.address(); a.Scheme {
	case SQLite:
		return c.openSQLite(ctx, a.Path)
	case Postgres:
		return c.openPostgres(ctx, a)
	case DynamoDB:
		return c.openDynamoDB(ctx, a)
	}
	return nil, settingsErrorf("--store: there is no store of scheme %q in this program", c.address().Scheme)
}

// usesData reports whether something is kept in the data directory.
func (c Config) usesData() bool {
	return c.Data != Memory && !c.InMemory() && (c.ownMasterKey() || c.address().Path == DatabaseFile(c.Data))
}

// Init opens the store of a service and makes what is missing: the store itself, its
// mark, the master key, the first signing key.
func Init(ctx context.Context, cfg Config) (*Storage, error) {
	cfg.Kind, cfg.Create = storage.ProductionStore, true
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.BeginKeys(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Complete makes what a store works without, for a while, where something else than
// latchkey has made it.
func (s *Storage) Complete(ctx context.Context) error {
	if table, ok := s.engine.(*dynamo.Store); ok {
		return s.cfg.completeTable(ctx, table)
	}
	return nil
}

// A StoreInfo is what can be told of a store without bringing it up to date.
type StoreInfo struct {
	Kind  storage.StoreKind // empty: nothing is in it yet
	Users *int              // nil: no store of this engine counts them
	Has   bool              // the user who was looked for
}

// Inspect looks at the store, and whether it has the user; it changes nothing.
func Inspect(ctx context.Context, cfg Config, look storage.UserID) (StoreInfo, error) {
	switch a := cfg.address(); a.Scheme {
	case SQLite:
		return inspectSQLite(ctx, a.Path, look)
	case Postgres:
		return inspectPostgres(ctx, a, look)
	}
	cfg.Kind, cfg.Create = "", false
	s, err := OpenStore(ctx, cfg)
	if err != nil {
		return StoreInfo{}, err
	}
	defer s.Close()
	var info StoreInfo
	if info.Kind, err = s.StoreKind(ctx); err != nil || look == "" {
		return info, err
	}
	_, err = s.User(ctx, look)
	info.Has = err == nil
	if errors.Is(err, storage.ErrNotFound) {
		err = nil
	}
	return info, err
}

// Mark marks the store anew when its kind is was.
func Mark(ctx context.Context, cfg Config, was, kind storage.StoreKind) error {
	err := cfg.mark(ctx, was, kind)
	if errors.Is(err, storage.ErrConflict) {
		err = errors.New("another process has just marked the store; see which kind it is, and try again")
	}
	return err
}

func (c Config) mark(ctx context.Context, was, kind storage.StoreKind) error {
	switch a := c.address(); a.Scheme {
	case SQLite:
		return markSQLite(ctx, a.Path, kind)
	case Postgres:
		return sqlstore.MarkPostgres(ctx, string(a.URL), was, kind)
	}
	c.Kind, c.Create = "", false
	s, err := OpenStore(ctx, c)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.MarkStore(ctx, was, kind)
}

// address is that of the store, with the default.
func (c Config) address() StoreAddress {
	switch {
	case c.Store.Scheme != "":
		return c.Store
	case c.Data == Memory:
		return sqliteAddress(Memory)
	}
	return sqliteAddress(DatabaseFile(c.Data))
}

// DatabaseFile is that of SQLite, if the store is one.
func (c Config) DatabaseFile() (path string, ok bool) {
	a := c.address()
	return a.Path, a.Scheme == SQLite
}

// InMemory reports whether the store is gone with the process.
func (c Config) InMemory() bool { return c.address().Path == Memory }

// Place is what people call the store by: its data directory, or its address.
func (c Config) Place() string {
	if c.Store.Scheme == "" {
		return c.Data
	}
	return c.Store.String()
}

// DefaultData is the data directory where none is named.
const DefaultData = ".latchkey"

// Arguments are what another command is given to work on the same store: " --data DIR".
// An address with a password is none; who has it in a variable has it for the other
// command too.
func (c Config) Arguments() string {
	text := ""
	if c.Store.Scheme != "" && !c.Store.HasPassword() {
		text = " --store " + quote(c.Store.String())
	}
	if c.Store.Scheme == "" || c.ownMasterKey() && c.Data != DefaultData {
		text += " --data " + c.Data
	}
	return text
}

// quote is the text as a shell takes it for one word.
func quote(text string) string {
	if strings.ContainsAny(text, " ?&*;$\"\\<>|()[]{}!~#`") {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}

// check refuses settings that contradict each other.
func (c Config) check() error {
	const year = 365 * 24 * time.Hour
	switch d := c.EventRetention; {
	case c.Data == Memory && !c.InMemory() && c.ownMasterKey():
		return settingsErrorf("--data %s keeps no master key, and what is in %s is sealed under one: name a directory with --data, or give the key by LATCHKEY_MASTER_KEY or --master-key-file", Memory, c.Place())
	case d != 0 && (d < time.Hour || d > 10*year):
		return settingsErrorf("--event-retention %s must be %s to %s", d, time.Hour, 10*year)
	}
	return nil
}

// NextAlgorithm is that of the next key.
func (s *Storage) NextAlgorithm(ctx context.Context) latchkey.Algorithm {
	r, _ := s.newestKey(ctx)
	return cmp.Or(s.cfg.SigningAlg, r.Algorithm, s.cfg.algorithm())
}

// newestKey is the key that signs last of those that sign now or will.
func (s *Storage) newestKey(ctx context.Context) (r keyring.Record, ok bool) {
	for _, r := range slices.Backward(s.Keyring.Records(ctx)) {
		if len(r.Sealed) > 0 && r.RetiresAt.IsZero() {
			return r, true
		}
	}
	return r, false
}

// BeginKeys creates the first signing key where there is none.
func (s *Storage) BeginKeys(ctx context.Context) error {
	if err := s.Keyring.Begin(ctx, s.cfg.algorithm()); err != nil {
		return err
	}
	s.WarnAlgorithm(ctx)
	return nil
}

// WarnAlgorithm tells that the setting changes nothing: it is for new keys, and the
// newest one is of another algorithm.
func (s *Storage) WarnAlgorithm(ctx context.Context) {
	r, ok := s.newestKey(ctx)
	if ok && s.cfg.SigningAlg != "" && s.cfg.SigningAlg != r.Algorithm {
		s.cfg.Log.Warn(fmt.Sprintf("--signing-alg is for new keys, and the key in use is another one: latchkey keys rotate --signing-alg %s makes the next", s.cfg.SigningAlg),
			slog.String("signing_alg", string(s.cfg.SigningAlg)), slog.String("key_alg", string(r.Algorithm)), slog.String("kid", r.ID))
	}
}
