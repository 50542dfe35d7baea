package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// talk is the log of a program that a person watches: lines for people at a
// terminal, JSON otherwise or when it is asked for.
func (p *process) talk(json bool) *slog.Logger {
	if json || terminalWidth(p.stderr) == 0 {
		return p.logger()
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(p.level)); err != nil { // kong has checked it
		panic(err)
	}
	return slog.New(&talker{mu: new(sync.Mutex), w: p.stderr, level: level})
}

// talker is a slog.Handler that writes a line for a record.
type talker struct {
	mu    *sync.Mutex
	w     io.Writer
	level slog.Level
	attrs []slog.Attr
}

func (t *talker) Enabled(_ context.Context, level slog.Level) bool { return level >= t.level }

func (t *talker) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *t
	with.attrs = append(t.attrs[:len(t.attrs):len(t.attrs)], attrs...)
	return &with
}

// WithGroup leaves the names as they are: nobody here uses groups.
func (t *talker) WithGroup(string) slog.Handler { return t }

func (t *talker) Handle(_ context.Context, r slog.Record) error {
	attrs := t.attrs[:len(t.attrs):len(t.attrs)]
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	line := r.Time.Local().Format("15:04:05") + " "
	if r.Message == "request" {
		line += requestLine(attrs)
	} else {
		line += eventLine(r, attrs)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := io.WriteString(t.w, line+"\n")
	return err
}

// requestLine is what the gateway's line about a request tells at a glance: method,
// path, status, duration, who called or why not. The cause of a fault has a line of
// its own.
func requestLine(attrs []slog.Attr) string {
	get := make(map[string]string)
	for _, a := range attrs {
		get[a.Key] = onScreen(a.Value.String())
		if a.Key == "duration_ms" && a.Value.Kind() == slog.KindFloat64 {
			get[a.Key] = fmt.Sprintf("%.1fms", a.Value.Float64())
		}
	}
	end := get["gateway_response"]
	if sub := get["sub"]; sub != "" {
		end = strings.TrimSpace(sub + " " + end)
	}
	if get["authorizer"] == "cached" {
		end = strings.TrimSpace(end + " (cached)")
	}
	line := fmt.Sprintf("%-7s %-22s %s %7s  %s", get["method"], get["path"], cmp.Or(get["status"], "0"), get["duration_ms"], end)
	line = strings.TrimRight(line, " ")
	if cause := get["error"]; cause != "" {
		line += "\n         error: " + cause
	}
	return line
}

func eventLine(r slog.Record, attrs []slog.Attr) string {
	var b strings.Builder
	if r.Level != slog.LevelInfo {
		b.WriteString(strings.ToLower(r.Level.String()) + ": ")
	}
	b.WriteString(onScreen(r.Message))
	for _, a := range attrs {
		fmt.Fprintf(&b, "  %s: %s", a.Key, onScreen(a.Value.String()))
	}
	return b.String()
}

// onScreen keeps control characters off the terminal: clients choose paths.
func onScreen(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(text)
	}
	return text
}
