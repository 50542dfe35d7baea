//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	dir := filepath.Dir(path)
	if info, err = os.Stat(dir); err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others than its owner can write to %s, which has mode %04o, and so put another %s into it: chmod 700 %s", dir, mode, filepath.Base(path), dir)
	}
	return nil
}
