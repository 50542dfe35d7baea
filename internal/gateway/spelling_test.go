package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/trial"
)

// naiveRoute is a second reading of how API Gateway chooses a route, written without
// the table: the most specific resource that covers the path, and if that has no
// method for the verb, the most specific greedy one that has.
func naiveRoute(routes []gateway.Route, verb string, parts []string) (gateway.Route, bool) {
	var resources []string
	for _, r := range routes {
		if naiveCovers(r.Path, parts) && !slices.Contains(resources, r.Path) {
			resources = append(resources, r.Path)
		}
	}
	slices.SortFunc(resources, func(a, b string) int { return strings.Compare(naiveRank(a), naiveRank(b)) })
	for i, path := range resources {
		if i > 0 && !strings.HasSuffix(path, "+}") {
			continue
		}
		for _, method := range []string{verb, "ANY"} {
			for _, r := range routes {
				if r.Path == path && r.Method == method {
					return r, true
				}
			}
		}
	}
	return gateway.Route{}, false
}

func naiveCovers(pattern string, parts []string) bool {
	want := naiveParts(pattern)
	for i, w := range want {
		switch {
		case i >= len(parts):
			return false
		case strings.HasSuffix(w, "+}"):
			return true
		case !strings.HasPrefix(w, "{") && w != parts[i]:
			return false
		}
	}
	return len(want) == len(parts)
}

// naiveRank sorts literals before parameters before greedy ones, part by part.
func naiveRank(path string) string {
	rank := ""
	for _, part := range naiveParts(path) {
		switch {
		case strings.HasSuffix(part, "+}"):
			rank += "3"
		case strings.HasPrefix(part, "{"):
			rank += "2"
		default:
			rank += "1"
		}
	}
	return rank
}

func naiveParts(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}

// A spelling is a request by a path that some gateway may lead to a route, and the ARN
// that it may have there.
type spelling struct {
	path, router, arn string
	leads             gateway.Route
}

// spellings are the readings of paths that can be read in several ways, by three
// routers: a strict one, which takes only paths that have one reading; one that takes
// parts as they are, empty and encoded ones included; and one that decodes the path and
// drops doubled slashes and those at the ends.
func spellings(r *rand.Rand, routes []gateway.Route) (all []spelling) {
	tb, err := gateway.NewTable(routes)
	if err != nil {
		panic(err)
	}
	for range 250 {
		verb, path := pick(r, []string{"GET", "POST", "DELETE"}), respell(r, pick(r, worldPaths))
		decoded, err := url.PathUnescape(path)
		if err != nil {
			panic(err)
		}
		arns := []string{dev + verb + path, dev + verb + decoded}
		add := func(router string, leads gateway.Route, ok bool, arns []string) {
			for _, arn := range arns {
				if ok && !leads.Public {
					all = append(all, spelling{path, router, arn, leads})
				}
			}
		}
		strict, ok := tb.Match(verb, path)
		add("strictly", strict.Route, ok, arns)
		leads, ok := naiveRoute(routes, verb, naiveParts(path))
		add("as it is", leads, ok, arns[:1])
		// Whether the gateway leaves the path in the ARN as it is or not.
		lax := slices.DeleteFunc(strings.Split(decoded, "/"), func(part string) bool { return part == "" })
		leads, ok = naiveRoute(routes, verb, lax)
		add("decoded and cleaned", leads, ok, append(arns, dev+verb+"/"+strings.Join(lax, "/")))
	}
	return all
}

// respell spells a path in another way: slashes doubled, at the ends, encoded, and
// letters encoded, once or twice.
func respell(r *rand.Rand, path string) string {
	var b strings.Builder
	b.WriteByte('/')
	for _, c := range path[1:] + []string{"", "/", "//"}[max(0, r.IntN(8)-5)] {
		switch n := r.IntN(24); {
		case c == '/' && n < 4:
			b.WriteString(pick(r, []string{"//", "///", "%2F", "%2f/", "/%2F", "/%2F%2f/"}))
		case n == 4:
			fmt.Fprintf(&b, "%%%02x", c)
		case n == 5 && r.IntN(4) == 0:
			fmt.Fprintf(&b, "%%25%02X", c)
		case n == 6 && r.IntN(4) == 0:
			b.WriteString("%20" + string(c))
		default:
			b.WriteRune(c)
		}
	}
	if r.IntN(8) == 0 {
		return pick(r, []string{"/", "/%2F", "//"}) + b.String()
	}
	return b.String()
}

// TestMatchAgreesWithANaiveRouter compares the table's routing with the other reading, in
// 100 tables, in full 4,000.
func TestMatchAgreesWithANaiveRouter(t *testing.T) {
	for seed := range uint64(trial.Of(100, 4_000)) {
		r := rand.New(rand.NewPCG(seed, 1))
		routes := randomTable(r)
		for i := range routes { // a table that no policy can express has a router too
			routes[i].Public, routes[i].Scopes, routes[i].AnyScope = true, nil, false
		}
		tb, err := gateway.NewTable(routes)
		if err != nil {
			continue
		}
		for range 200 {
			verb, path := pick(r, []string{"GET", "POST", "DELETE"}), pick(r, worldPaths)
			want, found := naiveRoute(routes, verb, naiveParts(path))
			got, ok := tb.Match(verb, path)
			if ok != found || got.Route.String() != want.String() {
				t.Fatalf("seed %d, routes %s: %s %s leads to %q, want %q", seed, show(routes), verb, path, got.Route, want)
			}
		}
	}
}

// TestPolicyResourcesAgreeWithANaiveMatcher compares how a policy's resources are
// matched with a matcher that tries every length for every "*": 10,000 pairs, in full
// 500,000.
func TestPolicyResourcesAgreeWithANaiveMatcher(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	matches := 0
	pairs := trial.Of(10_000, 500_000)
	for range pairs {
		pattern, s := "x"+text("ab/**?", 8), "x"+text("ab/%", 8)
		p, err := gateway.ParsePolicy([]byte(policy(statement("Allow", pattern))))
		if err != nil {
			t.Fatal(err)
		}
		got, want := p.Evaluate(gateway.ActionInvoke, s) == gateway.Allow, naiveGlob(pattern, s)
		if got != want {
			t.Fatalf("%q matches %q: %t, want %t", pattern, s, got, want)
		}
		if want {
			matches++
		}
	}
	if matches < pairs/50 {
		t.Errorf("%d of the pairs match: too few to tell", matches)
	}
}

func naiveGlob(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		for i := range len(s) + 1 {
			if naiveGlob(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && (pattern[0] == '?' || pattern[0] == s[0]) && naiveGlob(pattern[1:], s[1:])
}
