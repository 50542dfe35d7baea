package hashworker

import (
	"os"
	"strconv"
	"syscall"
)

// executable is this very program, also when another version has taken the
// place of its file, or none.
func executable() (string, error) { return "/proc/self/exe", nil }

// beWorker gives the process the name that ps and top show (of executable it has
// the name exe), and has it killed before the server when memory is short.
func beWorker() {
	_ = os.WriteFile("/proc/self/comm", []byte("latchkey-hash"), 0)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
}

// keepFiles keeps from workers what this process was given open: Go does so for
// what it opens itself.
func keepFiles() {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // and no worker can be started
	}
	for _, f := range files {
		if n, err := strconv.Atoi(f.Name()); err == nil && n > 2 {
			syscall.CloseOnExec(n)
		}
	}
}
