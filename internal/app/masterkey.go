package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

// MasterKeyFile is that of a data directory.
func MasterKeyFile(dir string) string { return filepath.Join(dir, "master.key") }

// masterKey finds the key: in the settings, in the named file, in the data
// directory, where Create makes one unless the database was written under
// another.
func (c Config) masterKey(ctx context.Context, store keyring.Store) (keyring.MasterKey, error) {
	switch {
	case c.MasterKey != "" && c.MasterKeyFile != "":
		return keyring.MasterKey{}, errTwoMasterKeys
	case c.MasterKey != "":
		return c.namedMasterKey(ctx, store.Keys)
	case c.MasterKeyFile != "":
		return readMasterKey(c.MasterKeyFile)
	case c.InMemory():
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
	if c.InMemory() || !c.ownMasterKey() {
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

// ownMasterKey reports whether the key is the file in the data directory.
func (c Config) ownMasterKey() bool { return c.MasterKeyFile == "" && c.MasterKey == "" }

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
