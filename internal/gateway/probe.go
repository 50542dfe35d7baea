package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// probe is a request that is put to every policy.
type probe struct {
	verb, path string
	arns       []string // what the gateway may ask about
	leads      int      // an entry
	odd        string   // why the path may be denied to those who may call the route
	spelling   bool     // a path that has more than one reading
}

// probes are requests for every route that is not public.
func (t *Table) probes() (probes []probe) {
	seen := make(map[string]bool)
	for i, e := range t.entries {
		if e.Public {
			continue
		}
		for _, verb := range e.verbs {
			for _, p := range t.probesOf(i, verb) {
				key := p.verb + p.path + " " + t.entries[p.leads].Path
				if !seen[key] {
					seen[key] = true
					probes = append(probes, p)
				}
			}
		}
	}
	return probes
}

// probesOf are requests for one route, and what other readings make of them.
func (t *Table) probesOf(entry int, verb string) (probes []probe) {
	e := &t.entries[entry]
	ordinary := [][]string{t.partsOf(e)}
	if isGreedy(e.segments) {
		ordinary = append(ordinary, append(t.partsOf(e), t.other))
	}
	for n, parts := range ordinary {
		path := "/" + strings.Join(parts, "/")
		probes = append(probes, t.asked(verb, path, "")...)
		if n > 0 {
			break
		}
		for _, spelled := range respellings(path) {
			probes = append(probes, t.asked(verb, spelled, "")...)
		}
		for at, s := range e.segments {
			if s.kind != param {
				continue
			}
			ask := func(text, odd string) {
				with := slices.Clone(parts)
				with[at] = text
				probes = append(probes, t.asked(verb, "/"+strings.Join(with, "/"), odd)...)
			}
			ask(t.other+"%20"+t.other, encodedAnywhere)
			ask("%C3%A9"+t.other, encodedFirst)
			for _, text := range t.literalsNear(e) {
				ask(text, fmt.Sprintf("%q is a fixed part of another route", text))
			}
		}
	}
	return probes
}

func (t *Table) partsOf(e *entry) []string {
	parts := make([]string, len(e.segments))
	for i, s := range e.segments {
		if parts[i] = t.other; s.kind == literal {
			parts[i] = s.text
		}
	}
	return parts
}

// maxTexts bounds how many literals are tried in place of a parameter.
const maxTexts = 16

// literalsNear are literals of routes that share a beginning with this one.
func (t *Table) literalsNear(e *entry) []string {
	var texts []string
	for _, o := range t.entries {
		if !compatible(o.segments, e.segments) {
			continue
		}
		for _, s := range o.segments {
			if s.kind == literal && len(texts) < maxTexts && !slices.Contains(texts, s.text) {
				texts = append(texts, s.text)
			}
		}
	}
	return texts
}

// asked returns where a strict gateway leads a request, and one that decodes the path
// and ignores slashes; only routes that are not public.
func (t *Table) asked(verb, path, odd string) (probes []probe) {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil
	}
	arns := []string{probeARN.resources() + verb + path, probeARN.resources() + verb + decoded}
	if decoded == path {
		arns = arns[:1]
	}
	strict := -1
	if CanonicalPath(path) {
		strict = t.lead(t.all, verb, pathParts(path), false)
	}
	lax := t.lead(t.all, verb, slices.DeleteFunc(strings.Split(decoded, "/"), func(part string) bool { return part == "" }), false)
	for _, led := range []int{strict, lax} {
		if led >= 0 && !t.entries[led].Public && (led != strict || len(probes) == 0) {
			probes = append(probes, probe{verb, path, arns, led, odd, strict < 0 || led != strict})
		}
	}
	return probes
}

// respellings are other spellings of a path: a slash at an end or doubled, and an
// encoded slash or letter in every place.
func respellings(path string) []string {
	all := []string{"/" + path, path + "/", path + "//", path + "%2F"}
	for i, c := range []byte(path) {
		switch {
		case i == 0:
		case c == '/':
			for _, slash := range []string{"//", "%2F", "%2f/", "/%2F"} {
				all = append(all, path[:i]+slash+path[i+1:])
			}
		case path[i-1] == '/' || i == len(path)-1:
			all = append(all, fmt.Sprintf("%s%%%02X%s", path[:i], c, path[i+1:]))
		}
	}
	return all
}
