package app

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// refuseConnections has the kernel drop requests for new connections. Handshakes under
// way complete. A client that was dropped repeats its request after a second, and is
// refused by then.
func refuseConnections(l *net.TCPListener) error {
	// The filter sees a segment from its TCP header on (RFC 9293 section 3.1):
	// byte 13 holds the flags, of which SYN is the second.
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x02, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	return errors.Join(err, set)
}
