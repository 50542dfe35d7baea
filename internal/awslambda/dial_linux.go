package awslambda

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"
)

// dial connects to the Runtime API, which has a numeric address. Package net would
// bring a resolver with it: a tenth of the lean bootstrap.
//
// A connection that has a thread of its own waits in the kernel. The runtime's poller
// takes two system calls more for each answer, and they are most of what an invocation
// costs.
func dial(address string, ownThread bool) (connection, error) {
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
	if ownThread {
		return socket(fd), nil
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that Close ends a Read
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return polled{os.NewFile(uintptr(fd), address)}, nil
}

func connect(fd int, peer syscall.Sockaddr) error {
	if err := syscall.Connect(fd, peer); err != nil {
		return os.NewSyscallError("connect", err)
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
}

// polled waits by the runtime's poller.
type polled struct{ *os.File }

func (p polled) interrupt() { p.Close() }

// A socket waits in the kernel.
type socket int

func (s socket) Read(b []byte) (int, error) {
	n, err := again(func() (int, error) { return syscall.Read(int(s), b) })
	if n == 0 && err == nil && len(b) > 0 {
		return 0, io.EOF
	}
	return n, err
}

func (s socket) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := again(func() (int, error) { return syscall.Write(int(s), b[done:]) })
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// interrupt ends a Read under way in another goroutine. The descriptor stays, so that no
// other file can get its number meanwhile.
func (s socket) interrupt() { _ = syscall.Shutdown(int(s), syscall.SHUT_RDWR) }

func (s socket) Close() error { return syscall.Close(int(s)) }

// again repeats a system call that a signal has ended: the runtime sends them to stop
// goroutines.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
