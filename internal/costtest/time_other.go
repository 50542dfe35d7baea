//go:build !linux

package costtest

import "time"

var began = time.Now()

// processorTime is for Linux alone. Elsewhere it is the time of day: other load
// counts.
func processorTime() time.Duration { return time.Since(began) }
