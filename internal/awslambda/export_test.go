package awslambda

import (
	"bufio"
	"bytes"
)

// ReadResponse reads one answer of the Runtime API from the bytes of a
// connection, and how many of them are left.
func ReadResponse(raw []byte) (status int, body []byte, left int, err error) {
	in := bytes.NewReader(raw)
	c := client{in: bufio.NewReader(in)}
	r, err := c.read()
	return r.status, r.body, in.Len() + c.in.Buffered(), err
}
