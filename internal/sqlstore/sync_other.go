//go:build !windows

package sqlstore

import (
	"errors"
	"os"
)

// syncPath has what is in a file or directory outlast a power cut.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
