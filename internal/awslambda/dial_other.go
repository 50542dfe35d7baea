//go:build !linux

package awslambda

import (
	"io"
	"net"
)

// dial connects to a Runtime API in tests; Lambda is Linux.
func dial(address string) (io.ReadWriteCloser, error) { return net.Dial("tcp", address) }
