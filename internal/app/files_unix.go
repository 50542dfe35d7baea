//go:build unix

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkSecretFile refuses a secret that others than its owner can read, or could
// put another in the place of.
func checkSecretFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s is for its owner alone, and has mode %04o: chmod 600 %s", path, mode, path)
	}
	return checkSecretDirectory(path)
}

// checkSecretDirectory refuses a directory in which others could put a secret of
// theirs in the place of ours.
func checkSecretDirectory(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others than its owner can write to %s, which has mode %04o, and so put another %s into it: chmod 700 %s", dir, mode, filepath.Base(path), dir)
	}
	return nil
}

// ExplainAccess adds whose a file is, who we are, and what to do, to an error about a
// file or database that the operating system does not let us at.
func ExplainAccess(err error) error {
	var file *fs.PathError
	paths := refusedDatabase(err)
	switch {
	case paths != nil:
	case errors.As(err, &file) && (errors.Is(file.Err, fs.ErrPermission) || errors.Is(file.Err, unix.EROFS)):
		paths = []string{file.Path}
	default:
		return err
	}
	for _, path := range paths {
		if advice := adviseAccess(path); advice != "" {
			return fmt.Errorf("%w\nlatchkey: %s", err, advice)
		}
	}
	return err
}

// checkDatabaseFiles refuses a database that SQLite would open for reading alone: a
// service on it could let nobody in, and would find that out with the first login.
func checkDatabaseFiles(path string) error {
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		if advice := adviseAccess(file); advice != "" {
			return errors.New(advice)
		}
	}
	return nil
}

// adviseAccess looks for what keeps us from the file: a directory above it that we
// cannot enter, the file itself, or the directory in which it would be created.
func adviseAccess(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	var above []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		above = append([]string{dir}, above...)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for _, dir := range above {
		if err := unix.Access(dir, unix.X_OK); err != nil {
			return advise(dir, "enter", err)
		}
	}
	for _, try := range []struct {
		path, verb string
		mode       uint32
	}{{path, "read", unix.R_OK}, {path, "write", unix.W_OK}, {filepath.Dir(path), "write to", unix.W_OK}} {
		if err := unix.Access(try.path, try.mode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return advise(try.path, try.verb, err)
		}
	}
	return ""
}

// advise says what to do about a file that cannot be entered, read or written.
func advise(path, verb string, reason error) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if errors.Is(reason, unix.EROFS) {
		return fmt.Sprintf("%s is on a file system that is mounted read-only: mount it for writing, or name another directory", path)
	}
	owner, us, mode := int(info.Sys().(*syscall.Stat_t).Uid), os.Geteuid(), info.Mode().Perm()
	if owner == us {
		return fmt.Sprintf("%s has mode %04o, which does not let its owner, %s, %s it: chmod u+rwX %s", path, mode, userName(us), verb, path)
	}
	return fmt.Sprintf("%s belongs to %s and has mode %04o, and this program runs as %s, who cannot %s it: run it as the owner, or make it yours: chown %d %s",
		path, userName(owner), mode, userName(us), verb, us, path)
}

// userName is a user's name and number.
func userName(uid int) string {
	id := strconv.Itoa(uid)
	u, err := user.LookupId(id)
	if err != nil {
		return "user " + id
	}
	return fmt.Sprintf("%s (user %s)", u.Username, id)
}
