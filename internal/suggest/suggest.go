// Package suggest finds what was probably meant by a name that is not known.
package suggest

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxWord bounds the work: names are short, and a longer text is none.
const maxWord = 64

// Closest returns the name that is at most two edits and a third of its length away
// from the word, regardless of case, or "".
func Closest(word string, names []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, least := "", 3
	for _, name := range names {
		d := distance(strings.ToLower(word), strings.ToLower(name))
		if d < least && d*3 <= utf8.RuneCountInString(name) {
			best, least = name, d
		}
	}
	return best
}

// DidYouMean is a question to be put behind an error, or "" where nothing is close.
func DidYouMean(word string, names []string) string {
	if name := Closest(word, names); name != "" {
		return fmt.Sprintf(": did you mean %q?", name)
	}
	return ""
}

// distance counts insertions, deletions, replacements and swaps of neighbours
// (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row := make([]int, len(y)+1)
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
