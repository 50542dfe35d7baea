package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

// Storage is the opened database with the keys that it holds.
type Storage struct {
	*sqlstore.Store
	Keyring *keyring.Keyring

	cfg    Config
	master keyring.MasterKey
}

// DatabaseFile is that of a data directory.
func DatabaseFile(dir string) string { return filepath.Join(dir, "latchkey.db") }

// MasterKeyFile is that of a data directory.
func MasterKeyFile(dir string) string { return filepath.Join(dir, "master.key") }

// Open opens the data directory. One of another kind it refuses, by a
// [sqlstore.KindError], before it touches anything; without Create it refuses one
// that has no database, by [sqlstore.ErrNoDatabase].
func Open(ctx context.Context, cfg Config) (*Storage, error) {
	if err := cfg.checkOwnMasterKey(); err != nil {
		return nil, err
	}
	path := sqlstore.Memory
	if cfg.Data != sqlstore.Memory {
		path = DatabaseFile(cfg.Data)
		if cfg.Create {
			if err := makeDataDirectory(cfg.Data); err != nil {
				return nil, fmt.Errorf("creating the data directory: %w", err)
			}
		}
	}
	store, err := sqlstore.OpenKind(ctx, path, cfg.Create || path == sqlstore.Memory, cfg.Kind)
	if err != nil {
		return nil, err
	}
	if cfg.Kind != "" && cfg.Data != sqlstore.Memory {
		if err := checkDatabaseFiles(path); err != nil {
			store.Close()
			return nil, err
		}
		warnFileSystem(cfg.Log, cfg.Data, sharedFileSystem(cfg.Data))
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
	return &Storage{store, keys, cfg, master}, nil
}

// makeDataDirectory makes the directory for its owner alone. In one that it makes,
// git finds nothing to commit.
func makeDataDirectory(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) { // by another process
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("*\n")
	return errors.Join(err, f.Close())
}

// warnFileSystem tells of a file system on which a database can be damaged.
func warnFileSystem(log *slog.Logger, dir, name string) {
	if name != "" {
		log.Warn("the data directory is on "+name+", where SQLite can lose or damage data: its locks need a disk of this machine; name a directory on one with --data",
			slog.String("data", dir), slog.String("file_system", name))
	}
}

// masterKey finds the key: in the settings, in the named file, in the data
// directory, where Create makes one unless the database was written under
// another.
func (c Config) masterKey(ctx context.Context, store *sqlstore.Store) (keyring.MasterKey, error) {
	switch {
	case c.MasterKey != "" && c.MasterKeyFile != "":
		return keyring.MasterKey{}, settingsErrorf("LATCHKEY_MASTER_KEY and --master-key-file are both given; keep one")
	case c.MasterKey != "":
		key, err := keyring.ParseMasterKey(string(c.MasterKey))
		if err != nil {
			return key, fmt.Errorf("LATCHKEY_MASTER_KEY: %w", err)
		}
		return key, nil
	case c.MasterKeyFile != "":
		return readMasterKey(c.MasterKeyFile)
	case c.Data == sqlstore.Memory:
		return keyring.NewMasterKey(), nil
	}
	path := MasterKeyFile(c.Data)
	key, err := readOwnMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	keys, err := store.Keys(ctx)
	if err != nil {
		return key, err
	}
	if c.Create && len(keys) == 0 {
		return createMasterKey(path)
	}
	// Another process may have made it, and then the keys, since we looked.
	if key, err = readOwnMasterKey(path); errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no master key: %s is missing; put it back, or give it by LATCHKEY_MASTER_KEY or --master-key-file", path)
	}
	return key, err
}

// checkOwnMasterKey refuses a data directory whose master key others can read or
// replace before there is a database in it, or a newer schema. Where there is no key
// yet and Create is about to make it, the directory alone counts.
func (c Config) checkOwnMasterKey() error {
	if c.Data == sqlstore.Memory || c.MasterKeyFile != "" || c.MasterKey != "" {
		return nil
	}
	path := MasterKeyFile(c.Data)
	err := checkSecretFile(path)
	if c.Create && errors.Is(err, fs.ErrNotExist) {
		err = checkSecretDirectory(path)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("the master key: %w", err)
}

// readOwnMasterKey reads the file in the data directory. Another one may be a
// secret that an orchestrator shows to everybody in the container.
func readOwnMasterKey(path string) (keyring.MasterKey, error) {
	if err := checkSecretFile(path); err != nil {
		return keyring.MasterKey{}, fmt.Errorf("the master key: %w", err)
	}
	return readMasterKey(path)
}

func readMasterKey(path string) (keyring.MasterKey, error) {
	text, err := textfile.ReadFile(path)
	if err != nil {
		return keyring.MasterKey{}, fmt.Errorf("reading the master key: %w", err)
	}
	key, err := keyring.ParseMasterKey(string(text))
	if err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// createMasterKey never replaces a file: two processes may start at once, and
// the loser takes the winner's key. The key is written aside first, so that
// nobody ever reads half of it.
func createMasterKey(path string) (keyring.MasterKey, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".master.key-*") // 0600
	if err != nil {
		return keyring.MasterKey{}, fmt.Errorf("creating the master key: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(keyring.NewMasterKey().Encode() + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return keyring.MasterKey{}, fmt.Errorf("writing the master key: %w", err)
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return keyring.MasterKey{}, fmt.Errorf("creating the master key: %w", err)
	}
	return readOwnMasterKey(path)
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
