package gateway

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Report is what [Table.Check] found.
type Report struct {
	Principals []PrincipalReport // every kind that can have other routes than the others
	Left       int               // kinds that were not looked at, because there are too many
	Requests   int               // that were asked, of every principal
	OverGrants []Finding         // what a policy allows and the table does not
	Missing    []Finding         // what the table grants and the policy does not
	Losses     []Finding         // the same where it is known: see [Table.Check]
}

// OK reports whether the policies are right.
func (r Report) OK() bool { return len(r.OverGrants)+len(r.Missing) == 0 }

// A PrincipalKind is what tells principals apart.
type PrincipalKind struct {
	Scopes []string
	Issuer string // "": latchkey itself
	ACR    string
	AMR    []string
	Within time.Duration // of the sign-in; 0: longer ago than any route asks, or not known
}

// String is "orders:read, issuer cognito, acr 2, amr otp, signed in within 10m0s"; "-"
// where there is nothing to say.
func (k PrincipalKind) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+value)
		}
	}
	add("", strings.Join(k.Scopes, " "))
	add("issuer ", k.Issuer)
	add("acr ", k.ACR)
	add("amr ", strings.Join(k.AMR, " "))
	if k.Within > 0 {
		add("signed in within ", k.Within.String())
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// kindOf puts a set of facts into words.
func (t *Table) kindOf(held set) PrincipalKind {
	var k PrincipalKind
	for i, f := range t.facts {
		if !held.has(i) {
			continue
		}
		switch f.is {
		case issuerFact:
			if f.text != OwnIssuer {
				k.Issuer = f.text
			}
		case scopeFact:
			k.Scopes = append(k.Scopes, f.text)
		case acrFact:
			k.ACR = f.text
		case amrFact:
			k.AMR = append(k.AMR, f.text)
		case ageFact:
			k.Within = f.age // the shortest is the last
		}
	}
	return k
}

// A PrincipalReport is a kind of principals and their policy.
type PrincipalReport struct {
	PrincipalKind
	Routes          int // that they may call, of those that are not public
	Allowed, Denied int // resources in the policy
	Bytes           int
}

// A Finding is a request that a policy answers otherwise than the table.
type Finding struct {
	PrincipalKind
	Request string // GET /orders/x
	Route   Route  // that it leads to
	Why     string
}

// probe is a request that is put to every policy.
type probe struct {
	verb, path string
	arns       []string // what the gateway may ask about
	leads      int      // an entry
	odd        string   // why the path may be denied to those who may call the route
	spelling   bool     // a path that has more than one reading
}

// probeARN is the API and stage that checks ask for.
var probeARN = ARN{Partition: "aws", Region: "us-east-1", Account: "123456789012", API: "abcdef1234", Stage: "prod"}

// Check makes the policy of every kind of principals once, as API Gateway's cache keeps
// it, and asks it about every route: by ordinary paths, by paths whose parameters have
// the text of a literal or an encoded character, and by other spellings of them. That
// the last two kinds of paths may be denied to those who may call the route is a known
// loss; anything else that differs from the table is wrong.
func (t *Table) Check() (Report, error) {
	var r Report
	probes := t.probes()
	r.Requests = len(probes)
	kinds, left := t.kinds()
	r.Left = left
	for _, held := range kinds {
		if err := t.checkKind(&r, held, probes); err != nil {
			return Report{}, err
		}
	}
	return r, nil
}

func (t *Table) checkKind(r *Report, held set, probes []probe) error {
	g := t.grants(held)
	doc, err := encodePolicy(probeARN, Decision{Principal: "principal"}, g.Allowed, g.Denied)
	if err != nil {
		return err
	}
	policy, size, err := policyIn(doc)
	if err != nil {
		return err
	}
	kind := PrincipalReport{PrincipalKind: t.kindOf(held), Allowed: len(g.Allowed), Denied: len(g.Denied), Bytes: size}
	for i := range t.entries {
		if t.entries[i].admits(held) {
			kind.Routes++
		}
	}
	r.Principals = append(r.Principals, kind)
	for _, p := range probes {
		leads := &t.entries[p.leads]
		may := leads.admits(held)
		f := Finding{PrincipalKind: kind.PrincipalKind, Request: p.verb + " " + p.path, Route: leads.Route, Why: p.odd}
		for _, arn := range p.arns {
			allowed := policy.Evaluate(ActionInvoke, arn) == Allow
			switch {
			case allowed && !may:
				f.Why = "allowed as " + arn[len(probeARN.resources()):]
				r.OverGrants = append(r.OverGrants, f)
			case may && !allowed && p.odd == "" && !p.spelling:
				r.Missing = append(r.Missing, f)
			case may && !allowed && !p.spelling:
				r.addLoss(f)
			default:
				continue
			}
			break // one finding is enough
		}
	}
	return nil
}

// addLoss keeps one loss of each kind for a route: that of the fewest scopes.
func (r *Report) addLoss(f Finding) {
	if !slices.ContainsFunc(r.Losses, func(o Finding) bool { return o.Route.String() == f.Route.String() && covered(o.Why, f.Why) }) {
		r.Losses = append(r.Losses, f)
	}
}

// covered reports whether one reason for a loss says what another one does: if any
// encoded character is denied, those at the beginning of a part are.
func covered(by, why string) bool { return by == why || by == encodedAnywhere && why == encodedFirst }

const (
	encodedAnywhere = "the path has an encoded character"
	encodedFirst    = "a part begins with an encoded character"
)

// policyIn reads the policy document of an authorizer's answer as API Gateway does.
func policyIn(answer []byte) (Policy, int, error) {
	_, rest, _ := strings.Cut(string(answer), `"policyDocument":`)
	doc, _, _ := strings.Cut(rest, `,"context":`)
	p, err := ParsePolicy([]byte(doc))
	return p, len(doc), err
}

// maxKinds bounds how many kinds of principals a check looks at.
const maxKinds = 1000

// maxEvery is up to how many sets of facts a check looks at all of them.
const maxEvery = 1 << 9

// kinds returns sets of facts, one for each set of routes that somebody may have. Where
// there are many these are the ones that make a difference to a policy: none, all, what
// each route asks for, and what two routes ask for of which a policy that allows the
// first must not take the second away.
func (t *Table) kinds() (kinds []set, left int) {
	sets := t.every()
	if sets == nil {
		sets = t.telling()
	}
	slices.SortStableFunc(sets, func(a, b set) int { return a.count(a) - b.count(b) })
	seen := make(map[string]bool)
	for _, held := range sets {
		may := fmt.Sprint(t.admitted(held))
		switch {
		case seen[may]:
		case len(kinds) == maxKinds:
			left++
		default:
			kinds = append(kinds, held)
		}
		seen[may] = true
	}
	return kinds, left
}

// every returns all sets of facts that may be true of somebody; nil: there are too many.
func (t *Table) every() []set {
	sets := []set{t.none()}
	for i := range t.facts {
		one := t.none()
		t.hold(one, i)
		for _, held := range sets {
			if both, ok := t.join(held, one); ok && !held.has(i) {
				sets = append(sets, both)
			}
		}
		if len(sets) > 2*maxEvery {
			return nil
		}
	}
	return slices.DeleteFunc(sets, func(held set) bool { return t.oneOf[0].count(held) == 0 }) // nobody has no issuer
}

// telling returns the sets that make a difference.
func (t *Table) telling() (sets []set) {
	for i, f := range t.facts {
		if f.is != issuerFact {
			break
		}
		nothing := t.none()
		nothing.add(i)
		sets = append(sets, nothing, t.most(nothing))
	}
	for i := range t.entries {
		sets = append(sets, t.entries[i].least...)
	}
	for _, p := range t.plans {
		for _, l := range p.leaks {
			for _, r := range p.routes {
				if !slices.ContainsFunc(l.ways, func(w way) bool { return w.takes.has(r.entry) }) {
					continue
				}
				for _, a := range t.entries[l.granting].least {
					for _, b := range t.entries[r.entry].least {
						if both, ok := t.join(a, b); ok {
							sets = append(sets, both)
						}
					}
				}
			}
		}
	}
	return sets
}

// most adds every fact that can be true beside those of the set.
func (t *Table) most(held set) set {
	for i := range t.facts {
		one := t.none()
		one.add(i)
		if both, ok := t.join(held, one); ok {
			held = both
		}
	}
	return held
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

// asked is how a request is led by a strict gateway and by one that decodes the path
// and ignores slashes, if to a route that is not public.
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
