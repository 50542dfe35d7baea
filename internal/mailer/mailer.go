// Package mailer tells people what the domain wants them told: it puts a message
// into words and delivers it, by SMTP or into an inbox on this machine.
//
// A name, a device and a new address come from the client, which may be a
// stranger's that wants our mail to carry an advertisement or a link. A name is
// shown where it is nothing but words, a device as browser and system in words of
// ours, an address where it is an IP address. What a server says of a message gets
// logged, so that it loses the address, the link and the code first.
//
// Start with NewTemplates, then NewSMTP or NewInbox.
package mailer

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// oneLine makes every run of spaces, line breaks and characters that show nothing
// one space. Among the latter are those that reverse the direction of writing.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

func shorten(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return strings.TrimSpace(string(runes[:limit-1])) + "…"
	}
	return text
}

// words says how long something works, never longer than it does.
func words(d time.Duration) string {
	const day = 24 * time.Hour
	unit, name := time.Second, "second"
	switch {
	case d <= 0:
		return ""
	case d > day && d%day == 0:
		unit, name = day, "day"
	case d >= time.Hour && d%time.Hour == 0 || d > 2*day:
		unit, name = time.Hour, "hour"
	case d >= time.Minute:
		unit, name = time.Minute, "minute"
	}
	if n := int(d / unit); n != 1 {
		return fmt.Sprintf("%d %ss", n, name)
	}
	return "1 " + name
}
