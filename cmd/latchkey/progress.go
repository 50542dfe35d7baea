package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progressInterval is how often a progress bar is redrawn.
const progressInterval = 100 * time.Millisecond

// clearLine takes the bar away: carriage return, erase to the end of the line.
const clearLine = "\r\x1b[K"

// progress is a bar on a terminal. A nil one shows nothing.
type progress struct {
	w     io.Writer
	width func() int
	now   func() time.Time
	doing string // "importing"
	unit  string // "row"
	size  int64  // of the file; 0: unknown
	start time.Time
	drawn time.Time // zero: the line is clear
}

// newProgress returns nil where standard error is no terminal.
func (p *process) newProgress(doing, unit string, size int64) *progress {
	if terminalWidth(p.stderr) == 0 {
		return nil
	}
	width := func() int { return terminalWidth(p.stderr) }
	return &progress{w: p.stderr, width: width, now: time.Now, doing: doing, unit: unit, size: size, start: time.Now()}
}

// show draws the bar unless it was drawn a moment ago.
func (p *progress) show(rows int, read int64) {
	if p == nil {
		return
	}
	now := p.now()
	if now.Sub(p.drawn) < progressInterval {
		return
	}
	p.drawn = now
	fmt.Fprint(p.w, clearLine, progressLine(p.doing, count(rows, p.unit), rows, read, p.size, now.Sub(p.start), p.width()))
}

// clear takes the bar away, so that something else can be written.
func (p *progress) clear() {
	if p == nil || p.drawn.IsZero() {
		return
	}
	p.drawn = time.Time{}
	fmt.Fprint(p.w, clearLine)
}

const barWidth = 20

// progressLine draws the bar: as much of it as fits on the terminal, which must
// not wrap it.
func progressLine(doing, counted string, rows int, read, size int64, elapsed time.Duration, width int) string {
	parts := []string{doing}
	read = min(read, size)
	if size > 0 {
		full := int(barWidth * read / size)
		parts = append(parts, fmt.Sprintf("%3d%%", 100*read/size), "["+strings.Repeat("#", full)+strings.Repeat("-", barWidth-full)+"]")
	}
	parts = append(parts, counted)
	if elapsed >= time.Second { // before, it is a guess
		parts = append(parts, thousands(int(float64(rows)/elapsed.Seconds()))+"/s")
		if read > 0 {
			left := time.Duration(float64(elapsed) * float64(size-read) / float64(read))
			parts = append(parts, left.Round(time.Second).String()+" left")
		}
	}
	line := parts[0]
	for _, part := range parts[1:] {
		if len(line)+2+len(part) >= width {
			break
		}
		line += "  " + part
	}
	return line
}

// count says "1 user" and "12,345 users".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}

func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
