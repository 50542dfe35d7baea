// Package mailer tells people what the domain wants them told: it puts a message
// into words and delivers it, by SMTP or into an inbox on this machine.
//
// A name, a device and a new address come from whoever made the request, who may
// be a stranger that wants our mail to carry an advertisement or a link. They
// are shown as plain facts, one line, shortened, with nothing a mail program
// would make a link of. What a server says of a message gets logged, so that it
// loses the address, the link and the code first.
//
// Start with NewTemplates, then NewSMTP or NewInbox.
package mailer

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// What is shown of text that strangers send.
const (
	maxName   = 64 // characters; a longer name is not shown
	maxDevice = 80 // characters; a longer one is cut
)

// twins of the full stop, the colon, the slash and the at sign are the same to
// programs that normalize before they look for links.
var twins = strings.NewReplacer("。", ".", "．", ".", "｡", ".", "․", ".", "﹒", ".", "：", ":", "﹕", ":", "／", "/", "⁄", "/", "∕", "/", "＠", "@", "﹫", "@")

// shownName is the name, or nothing where it could be a link: whoever registers
// somebody else's address chooses the name that stands in our mail.
func shownName(name string) string {
	name = strings.TrimSpace(name)
	odd := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsGraphic(r) }
	if len([]rune(name)) > maxName || strings.ContainsFunc(name, odd) || strings.ContainsAny(twins.Replace(name), "/:.@") {
		return ""
	}
	return oneLine(name)
}

// shownDevice is a User-Agent as text that no program takes for a link.
// Version numbers keep their dots.
func shownDevice(device string) string {
	text := strings.NewReplacer(":", " ", "@", " ").Replace(twins.Replace(oneLine(device)))
	runes := []rune(text)
	for i, r := range runes {
		if r == '.' && i+1 < len(runes) && !isDigit(runes[i+1]) {
			runes[i] = ' '
		}
	}
	return shorten(strings.Join(strings.Fields(string(runes)), " "), maxDevice)
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// shownAddress is an IP address, or what stands in its place, treated as a device.
func shownAddress(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil {
		return ip.WithZone("").String()
	}
	return shownDevice(address)
}

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
