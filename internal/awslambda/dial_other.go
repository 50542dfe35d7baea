//go:build !linux

package awslambda

import "net"

// dial connects to a Runtime API in tests; Lambda is Linux.
func dial(address string, _ bool) (connection, error) {
	conn, err := net.Dial("tcp", address)
	return polled{conn}, err
}

type polled struct{ net.Conn }

func (p polled) interrupt() { p.Close() }
