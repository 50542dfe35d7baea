package mailer

import (
	"regexp"
	"sync"
)

// lazily is a regular expression that is compiled when it is first used. Together those
// of this package take milliseconds, which every command would wait for.
func lazily(text string) *pattern {
	return &pattern{compiled: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

type pattern struct{ compiled func() *regexp.Regexp }

func (p *pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }
