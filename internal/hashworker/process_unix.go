//go:build darwin || freebsd || linux || netbsd || openbsd

package hashworker

import (
	"os/exec"
	"runtime"
	"syscall"
)

// niceness is what workers have more of than the server: it goes first, and they
// still get about a tenth of cores that it keeps busy (nice(2), sched(7)).
const niceness = 10

// detach gives the worker a process group of its own, so that ^C at a terminal
// reaches the server alone.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// yield lowers the priority of a worker. On Linux that is one of threads; by the
// group all that it has get it, and those that it starts inherit it. When it
// fails, the worker is gone or goes on at the priority it had.
func yield(pid int) {
	if own, err := nice(); err == nil {
		_ = syscall.Setpriority(syscall.PRIO_PGRP, pid, min(own+niceness, 19))
	}
}

// nice is the niceness of this process.
func nice() (int, error) {
	n, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if runtime.GOOS == "linux" {
		n = 20 - n // the system call's own scale: 40 to 1
	}
	return n, err
}
