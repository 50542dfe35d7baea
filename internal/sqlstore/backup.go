package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup copies the database at from, as it is at one moment, to a new file that
// its owner alone can read. Others may work on the database meanwhile. The copy is
// whole, checked and on disk before it has its name; the schema stays what it is.
// What was deleted is not in it.
func Backup(ctx context.Context, from, to string) (Info, error) {
	if _, err := os.Lstat(to); err == nil {
		return Info{}, fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	dir := filepath.Dir(to)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(to)+"-*") // 0600
	if err != nil {
		return Info{}, err
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return Info{}, err
	}
	err = withFile(ctx, from, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `VACUUM INTO $1`, temp.Name()) // which takes an empty file
		return err
	})
	if err != nil {
		return Info{}, err
	}
	info, err := checkCopy(ctx, temp.Name())
	if err != nil {
		return info, fmt.Errorf("checking the copy: %w", err)
	}
	if err := syncPath(temp.Name()); err != nil {
		return info, err
	}
	if err := os.Link(temp.Name(), to); err != nil { // never over another file
		return info, err
	}
	return info, syncPath(dir)
}

// checkCopy opens the copy and reads all of it.
func checkCopy(ctx context.Context, path string) (Info, error) {
	err := withFile(ctx, path, func(db *sql.DB) error {
		var said string
		if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&said); err != nil {
			return err
		}
		if said != "ok" {
			return fmt.Errorf("the database is damaged: %s", said)
		}
		return nil
	})
	if err != nil {
		return Info{}, err
	}
	info, err := Inspect(ctx, path)
	if err == nil && info.Kind == "" {
		err = fmt.Errorf("%w: the file has no tables", ErrNoDatabase)
	}
	return info, err
}
