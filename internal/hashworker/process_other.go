//go:build !(darwin || freebsd || linux || netbsd || openbsd)

package hashworker

import "os/exec"

// detach and yield are for Unix. Elsewhere workers run at the server's priority.
func detach(*exec.Cmd) {}

func yield(int) {}
