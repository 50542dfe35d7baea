package awslambda

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// header holds the last value of each name, which is in lower case.
type header map[string]string

// maxHeader is beyond what the Runtime API sends.
const maxHeader = 256 << 10

// readLine reads a line without its end.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err
}

// readHeader reads fields up to the empty line (RFC 9112 section 5). A field in
// several lines is an error, as section 5.2 has it.
func readHeader(in *bufio.Reader) (header, error) {
	h := make(header)
	for size := 0; ; {
		line, err := readLine(in)
		if err != nil || line == "" {
			return h, err
		}
		name, value, ok := strings.Cut(line, ":")
		if size += len(line); size > maxHeader || !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, errors.New("malformed header")
		}
		h[strings.ToLower(name)] = strings.Trim(value, " \t")
	}
}

func (c *client) read() (response, error) {
	line, err := readLine(c.in)
	if err != nil {
		return response{}, err
	}
	proto, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || !strings.HasPrefix(proto, "HTTP/1.") {
		return response{}, fmt.Errorf("the Runtime API answered %q", line)
	}
	r := response{status: status}
	if r.header, err = readHeader(c.in); err != nil {
		return response{}, err
	}
	if r.body, err = readBody(c.in, r.header); err != nil {
		return response{}, fmt.Errorf("reading the body: %w", err)
	}
	if strings.EqualFold(r.header["connection"], "close") {
		c.close()
	}
	return r, nil
}

// maxEvent is beyond what Lambda sends: 6 MB, and more for streams.
const maxEvent = 64 << 20

// readBody reads a body by RFC 9112 section 6.
func readBody(in *bufio.Reader, h header) ([]byte, error) {
	if strings.EqualFold(h["transfer-encoding"], "chunked") {
		return readChunks(in)
	}
	n, err := strconv.Atoi(h["content-length"])
	if err != nil || n < 0 || n > maxEvent {
		return nil, fmt.Errorf("content length %q", h["content-length"])
	}
	body := make([]byte, n)
	_, err = io.ReadFull(in, body)
	return body, err
}

func readChunks(in *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := readLine(in)
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 31)
		if err != nil || len(body)+int(n) > maxEvent {
			return nil, fmt.Errorf("chunk size %q", line)
		}
		if n == 0 {
			_, err := readHeader(in) // trailers
			return body, err
		}
		start := len(body)
		body = append(body, make([]byte, n)...)
		if _, err := io.ReadFull(in, body[start:]); err != nil {
			return nil, err
		}
		if line, err := readLine(in); err != nil || line != "" {
			return nil, errors.New("chunk without end")
		}
	}
}
