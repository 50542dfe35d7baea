//go:build !linux

package app

import "net"

// refuseConnections is for Linux alone. Elsewhere a connection that is made in
// the instant before the listener closes is reset.
func refuseConnections(*net.TCPListener) error { return nil }
