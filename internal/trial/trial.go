// Package trial says how much the tests of a package try. What costs seconds has a short
// form, for every run of the suite, and a full one, by -trial=full and in `make trials`.
// Both ask for the same; the full one asks more often.
package trial

import "flag"

var form = flag.String("trial", "short", "form of the trials: short or full")

// Full reports whether the full form is asked for.
func Full() bool { return *form == "full" }

// Of returns how many of something the form takes.
func Of(short, full int) int {
	if Full() {
		return full
	}
	return short
}
