package costtest

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what this thread has used so far, to the nanosecond: getrusage
// knows it as of the last tick.
func processorTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
