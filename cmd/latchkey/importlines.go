package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxRow bounds a row of an import file, and with it what is held in memory.
const maxRow = 64 << 10

var errLongRow = fmt.Errorf("is longer than %d KiB", maxRow>>10)

// lineReader reads bounded lines and counts them. Lines that were given back
// are read again.
type lineReader struct {
	r    *bufio.Reader
	n    int // number of the last line that was read
	back [][]byte
	// read counts the bytes that were taken from the file.
	read int64
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, maxRow)}
}

// next returns the next line with its end; it is good until the call after.
// errLongRow skips the line, io.EOF ends the file.
func (l *lineReader) next() ([]byte, error) {
	if len(l.back) > 0 {
		line := l.back[0]
		l.back = l.back[1:]
		l.n++
		return line, nil
	}
	line, err := l.r.ReadSlice('\n')
	l.read += int64(len(line))
	if len(line) > 0 {
		l.n++
	}
	long := false
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		var more []byte
		more, err = l.r.ReadSlice('\n')
		l.read += int64(len(more))
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("reading the import file: %w", err)
	case long:
		return nil, errLongRow
	case len(line) > 0:
		return line, nil
	}
	return nil, io.EOF
}

// giveBack makes the last lines that were read the next ones.
func (l *lineReader) giveBack(lines [][]byte) {
	l.back = append(lines[:len(lines):len(lines)], l.back...)
	l.n -= len(lines)
}
