package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// DatabaseFile is that of a data directory.
func DatabaseFile(dir string) string { return filepath.Join(dir, "latchkey.db") }

// openSQLite opens the database file, of the kind and only if it is there unless Create
// says otherwise.
func (c Config) openSQLite(ctx context.Context, path string) (Store, error) {
	store, err := sqlstore.OpenKind(ctx, path, c.Create || path == Memory, c.Kind)
	if errors.Is(err, sqlstore.ErrNoDatabase) {
		err = fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	if err != nil {
		return nil, err
	}
	if c.Kind == "" || path == Memory {
		return store, nil
	}
	if err := checkDatabaseFiles(path); err != nil {
		store.Close()
		return nil, err
	}
	dir := filepath.Dir(path)
	warnFileSystem(c.Log, dir, sharedFileSystem(dir))
	return store, nil
}

// inspectSQLite looks at the database and changes nothing: neither is its schema brought
// up to date, nor a log begun.
func inspectSQLite(ctx context.Context, path string, look storage.UserID) (StoreInfo, error) {
	found, err := sqlstore.Inspect(ctx, path)
	info := StoreInfo{Kind: found.Kind, Users: &found.Users}
	if err == nil && found.Kind != "" && look != "" {
		info.Has, err = sqlstore.HasUser(ctx, path, look)
	}
	if errors.Is(err, sqlstore.ErrNoDatabase) {
		err = fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	return info, err
}

// markSQLite marks the database, whose schema stays as it is.
func markSQLite(ctx context.Context, path string, kind storage.StoreKind) error {
	return sqlstore.Mark(ctx, path, kind)
}

// refusedDatabase are the files of a database that the operating system does not let us
// at, if the error says so.
func refusedDatabase(err error) []string {
	var e *sqlstore.AccessError
	if !errors.As(err, &e) {
		return nil
	}
	return []string{e.Path, e.Path + "-wal", e.Path + "-shm"}
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
