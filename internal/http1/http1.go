// Package http1 reads answers of HTTP/1.1 (RFC 9112) as bootstraps for AWS Lambda need
// them: whole, within bounds, and in one reading; what is malformed is an error. It is for
// programs in which net/http would be most of the bytes.
package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// An Answer is what a server sends for one request.
type Answer struct {
	Status int
	Header Header
	Body   []byte
	Last   bool // the connection carries no other answer
}

// Limits bound an answer, in bytes.
type Limits struct {
	Header int // its status line and its fields, those of a trailer and of 1xx answers included
	Body   int
	// UntilClosed lets a body that has no length end with the connection. An attacker
	// who can end a connection can cut such a body short.
	UntilClosed bool
}

// ErrTooLong is an answer beyond its limits.
var ErrTooLong = errors.New("the answer is too long")

// A Header has the fields of an answer, in their order.
type Header []Field

// A Field is one line of a header.
type Field struct{ Name, Value string }

// Get returns the value of a field. Several of one name are joined by commas, as RFC 9110
// section 5.3 allows: what is no list then holds no good value.
func (h Header) Get(name string) string {
	value, found := "", false
	for _, f := range h {
		switch {
		case !strings.EqualFold(f.Name, name):
		case found:
			value += ", " + f.Value
		default:
			value, found = f.Value, true
		}
	}
	return value
}

// Read reads the next answer of a connection. Interim ones (1xx) are passed over.
func Read(in *bufio.Reader, limits Limits) (Answer, error) {
	r := reader{in: in, limits: limits}
	for {
		a, err := r.head()
		switch {
		case err != nil:
			return Answer{}, err
		case a.Status == 101: // Switching Protocols, which nobody has asked for
			return Answer{}, errors.New("the server changes the protocol")
		case a.Status < 200:
			continue
		}
		a.Last = a.Last || strings.EqualFold(a.Header.Get("Connection"), "close")
		if err := r.body(&a); err != nil {
			return Answer{}, fmt.Errorf("reading the body: %w", err)
		}
		return a, nil
	}
}

// A reader reads one answer; its limits are what is left of them.
type reader struct {
	in     *bufio.Reader
	limits Limits
	old    bool // the answer is one of HTTP/1.0
}

// head reads status line and fields (sections 4 and 5).
func (r *reader) head() (a Answer, err error) {
	block, err := r.block()
	if err != nil {
		return a, err
	}
	line, fields, _ := strings.Cut(block, "\n")
	line = strings.TrimSuffix(line, "\r")
	proto, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	a.Status, err = strconv.Atoi(code)
	r.old = proto == "HTTP/1.0"
	if err != nil || len(code) != 3 || a.Status < 100 || proto != "HTTP/1.1" && !r.old {
		return a, fmt.Errorf("the answer begins with %.100q", line)
	}
	a.Last = r.old // where Connection may say otherwise, which is not worth a connection
	a.Header, err = parseFields(fields)
	return a, err
}

// block reads lines up to an empty one, which it leaves out.
func (r *reader) block() (string, error) {
	var block []byte
	for begin := true; ; { // of a line
		part, err := r.in.ReadSlice('\n')
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && err != bufio.ErrBufferFull {
			return "", err
		}
		if r.limits.Header -= len(part); r.limits.Header < 0 {
			return "", ErrTooLong
		}
		if begin && (len(part) == 1 || len(part) == 2 && part[0] == '\r') && err == nil {
			return string(block), nil
		}
		block, begin = append(block, part...), err == nil
	}
}

var errHeader = errors.New("malformed header")

// parseFields reads lines. A field in several lines is an error, as section 5.2 has it.
func parseFields(lines string) (Header, error) {
	h := make(Header, 0, strings.Count(lines, "\n"))
	for lines != "" {
		var line string
		line, lines, _ = strings.Cut(lines, "\n")
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t\r") || strings.ContainsAny(value, "\r\x00") {
			return nil, errHeader
		}
		h = append(h, Field{name, strings.Trim(value, " \t")})
	}
	return h, nil
}

// body reads the body (section 6.3).
func (r *reader) body(a *Answer) (err error) {
	length, coding := a.Header.Get("Content-Length"), a.Header.Get("Transfer-Encoding")
	switch {
	case a.Status == 204 || a.Status == 304:
		return nil
	case strings.EqualFold(coding, "chunked") && !r.old: // section 6.1: HTTP/1.0 knows no chunks
		a.Body, err = r.chunks()
		return err
	case coding != "":
		return fmt.Errorf("transfer encoding %q", coding)
	case length == "" && r.limits.UntilClosed:
		a.Last = true
		a.Body, err = r.rest()
		return err
	}
	n, err := strconv.ParseUint(length, 10, 63)
	switch {
	case err != nil:
		return fmt.Errorf("content length %q", length)
	case n > uint64(r.limits.Body):
		return ErrTooLong
	}
	a.Body = make([]byte, n)
	return r.full(a.Body)
}

// rest reads to the end of the connection.
func (r *reader) rest() ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.in, int64(r.limits.Body)+1))
	if err == nil && len(body) > r.limits.Body {
		err = ErrTooLong
	}
	return body, err
}

// chunks reads a body in chunks (section 7.1).
func (r *reader) chunks() ([]byte, error) {
	var body []byte
	for {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 31)
		switch {
		case err != nil:
			return nil, fmt.Errorf("chunk size %.20q", size)
		case n > uint64(r.limits.Body-len(body)):
			return nil, ErrTooLong
		case n == 0:
			trailer, err := r.block()
			if err == nil {
				_, err = parseFields(trailer)
			}
			return body, err
		}
		start := len(body)
		body = append(body, make([]byte, n)...)
		if err := r.full(body[start:]); err != nil {
			return nil, err
		}
		if end, err := r.line(); err != nil || end != "" {
			return nil, errors.New("chunk without end")
		}
	}
}

// line reads a line without its end. It is short: that of a chunk.
func (r *reader) line() (string, error) {
	line, err := r.in.ReadSlice('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	return string(line), err
}

func (r *reader) full(b []byte) error {
	_, err := io.ReadFull(r.in, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
