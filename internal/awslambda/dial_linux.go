package awslambda

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"
)

// dial connects to the Runtime API, which has a numeric address. Package net would
// bring a resolver with it: a tenth of the lean bootstrap.
func dial(address string) (io.ReadWriteCloser, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("%s is %q: it must be an address of digits and a port", EnvRuntimeAPI, address)
	}
	family, peer := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
	if ip := to.Addr().Unmap(); ip.Is4() {
		family, peer = syscall.AF_INET, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: ip.As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := connect(fd, peer); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return os.NewFile(uintptr(fd), address), nil // not blocking, so that Close ends a Read
}

func connect(fd int, peer syscall.Sockaddr) error {
	if err := syscall.Connect(fd, peer); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("fcntl", syscall.SetNonblock(fd, true))
}
