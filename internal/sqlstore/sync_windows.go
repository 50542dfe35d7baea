package sqlstore

import "os"

// syncPath has what is in a file outlast a power cut. Directories have no sync of
// their own here, and a file needs to be open for writing.
func syncPath(path string) error {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
