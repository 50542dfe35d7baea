package leaked

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// ErrFolder means that the breach folder cannot be relied on: it has become
// empty, or a file in it is damaged or unreadable. It is no verdict on the
// password.
var ErrFolder = errors.New("breach folder cannot be relied on")

const (
	prefixDigits = 5
	suffixDigits = 2*sha1.Size - prefixDigits
)

// A Folder holds SHA-1 hashes of breached passwords in the layout of the Pwned
// Passwords downloader: a file for each first five hexadecimal digits, named by
// them (00000 or 00000.txt), with a line SUFFIX:COUNT for each hash. It may hold
// a part of the files only; hashes that would be in the others are not known.
//
// A Folder has no state but its path. Its files may be replaced while it is in
// use, each by renaming.
type Folder struct {
	dir     string
	witness string // a file that was there when the folder was opened
}

// OpenFolder checks that dir is such a folder. It reads names until the first
// that fits, for a complete folder has a million.
func OpenFolder(dir string) (*Folder, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening breach folder: %w", err)
	}
	defer d.Close()
	if info, err := d.Stat(); err != nil {
		return nil, fmt.Errorf("opening breach folder: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("opening breach folder: %s is a file; hint: name the directory that holds 00000.txt and its like", dir)
	}
	for {
		entries, err := d.ReadDir(256)
		for _, entry := range entries {
			if !entry.IsDir() && isPrefixFile(entry.Name()) {
				return &Folder{dir, entry.Name()}, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("opening breach folder: %s holds no file named by five hexadecimal digits, such as 00000.txt; hint: let the Pwned Passwords downloader write one file per prefix, not a single file", dir)
		}
		if err != nil {
			return nil, fmt.Errorf("opening breach folder: %w", err)
		}
	}
}

func isPrefixFile(name string) bool {
	prefix, _ := strings.CutSuffix(name, ".txt")
	return len(prefix) == prefixDigits && isHex([]byte(prefix))
}

// Has says whether a password is known from a breach, as it was typed or in its
// NFKC form. It reads one file for each of the two. An error means that nothing
// is known; it names the file and the line, which tells the first five digits
// of the hash and no more of it.
func (f *Folder) Has(password string) (bool, error) {
	found, err := f.has(password)
	if normal := norm.NFKC.String(password); err == nil && !found && normal != password {
		return f.has(normal)
	}
	return found, err
}

func (f *Folder) has(password string) (bool, error) {
	sum := sha1.Sum([]byte(password))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	file, err := f.open(digits[:prefixDigits])
	if err != nil || file == nil {
		return false, err
	}
	defer file.Close()
	found, err := hasSuffix(file, digits[prefixDigits:])
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w; hint: download this file again", ErrFolder, file.Name(), err)
	}
	return found, nil
}

// open returns the file for a prefix, or nil when the folder holds none.
func (f *Folder) open(prefix string) (*os.File, error) {
	for _, name := range []string{prefix, prefix + ".txt", strings.ToLower(prefix), strings.ToLower(prefix) + ".txt"} {
		file, err := os.Open(filepath.Join(f.dir, name))
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", ErrFolder, err)
		}
	}
	// A folder that was emptied or unmounted must not pass for one that knows no
	// such password.
	if _, err := os.Stat(filepath.Join(f.dir, f.witness)); err != nil {
		return nil, fmt.Errorf("%w: a file that was there at start is gone: %w; hint: restore the folder, or restart", ErrFolder, err)
	}
	return nil, nil
}

// hasSuffix reads lines SUFFIX:COUNT, ended by LF or CRLF, in constant memory
// until it finds suffix, which is in upper case. Lines with a count of 0 are
// padding. Their order does not matter.
func hasSuffix(r io.Reader, suffix string) (bool, error) {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == io.EOF && len(line) == 0 && n == 1:
			return false, errors.New("line 1: the file is empty")
		case err == io.EOF && len(line) == 0:
			return false, nil
		case err != nil && err != io.EOF && err != bufio.ErrBufferFull:
			return false, fmt.Errorf("line %d: %w", n, err)
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		digits, count, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(digits) != suffixDigits || !isHex(digits) {
			return false, fmt.Errorf("line %d: not %d hexadecimal digits, a colon and a count", n, suffixDigits)
		}
		times, err := strconv.ParseUint(string(count), 10, 64)
		if err != nil {
			return false, fmt.Errorf("line %d: the count is not a number", n)
		}
		if times > 0 && bytes.EqualFold(digits, []byte(suffix)) {
			return true, nil
		}
	}
}

func isHex(digits []byte) bool {
	for _, c := range digits {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
