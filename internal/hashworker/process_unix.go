//go:build darwin || freebsd || linux || netbsd || openbsd

package hashworker

import (
	"os/exec"
	"syscall"
)

// niceness lets the server go first, while workers still get a share of cores
// that it keeps busy (about a tenth; nice(2), sched(7)).
const niceness = 10

// detach gives the worker a process group of its own, so that ^C at a terminal
// reaches the server alone.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// yield lowers the priority of a worker. On Linux that is one of threads; by the
// group all that it has get it, and those that it starts inherit it. When it
// fails, the worker is gone or goes on at the priority it had.
func yield(pid int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, pid, niceness) }
