// Package textfile reads the text files that people write: settings, routes, keys,
// events, templates. Editors and shells, those of Windows above all, put a byte
// order mark before UTF-8 or save as UTF-16, and what then reads the file says
// only that its first character is wrong.
package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// mark is the byte order mark in UTF-8.
var mark = []byte("\ufeff")

// ErrUTF16: the text is in an encoding that is not read.
var ErrUTF16 = errors.New("is UTF-16; save it as UTF-8")

// Decode drops a byte order mark of UTF-8, and refuses UTF-16 by name, with its
// mark or without. Other text is returned as it is.
func Decode(doc []byte) ([]byte, error) {
	if bytes.HasPrefix(doc, []byte("\xff\xfe")) || bytes.HasPrefix(doc, []byte("\xfe\xff")) {
		return nil, ErrUTF16
	}
	// The first character of each of our formats is ASCII: half of it is zero.
	if len(doc) >= 2 && (doc[0] == 0) != (doc[1] == 0) {
		return nil, ErrUTF16
	}
	return bytes.TrimPrefix(doc, mark), nil
}

// ReadFile reads a file and decodes it. An error names the file.
func ReadFile(path string) ([]byte, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if doc, err = Decode(doc); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return doc, nil
}
