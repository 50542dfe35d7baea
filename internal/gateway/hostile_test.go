package gateway_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/trial"
)

// styles are the configurations under which hostile events are read: as they come, and
// with all that settings may open.
func styles(t testing.TB) []*gateway.Authorizer {
	t.Helper()
	sources, err := gateway.ParseTokenSources("header:Authorization,header:X-Token,cookie:session,query:access_token,protocol")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := gateway.ParseContextClaims("sub,roles,scope")
	if err != nil {
		t.Fatal(err)
	}
	open := func(style gateway.HTTPAnswer) *gateway.Authorizer {
		return with(t, func(cfg *gateway.AuthorizerConfig) { cfg.Sources, cfg.Claims, cfg.HTTPAnswer = sources, claims, style })
	}
	return []*gateway.Authorizer{newAuthorizer(shop(t)), open(gateway.AnswerSimple), open(gateway.AnswerSimplePerRoute)}
}

// answered is what an answer of any kind says.
type answered struct {
	IsAuthorized   *bool
	PolicyDocument *struct {
		Statement []struct {
			Effect   string
			Resource []string
		}
	}
	Context, ResolverContext map[string]string
}

// readAnswer fails the test unless the answer has a shape that a gateway takes.
func readAnswer(t testing.TB, event, out []byte) (a answered, grants bool) {
	t.Helper()
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%s is answered with %s: %v", event, out, err)
	}
	if (a.IsAuthorized == nil) == (a.PolicyDocument == nil) {
		t.Fatalf("%s is answered with %s", event, out)
	}
	if a.PolicyDocument == nil {
		return a, *a.IsAuthorized
	}
	for _, s := range a.PolicyDocument.Statement {
		grants = grants || s.Effect != "Deny"
		for _, r := range s.Resource {
			arn, err := gateway.ParseARN(r)
			if err != nil && !(s.Effect == "Deny" && strings.HasSuffix(r, "/*")) {
				t.Errorf("resource %s: %v", r, err)
			} else if strings.ContainsAny(arn.Stage+arn.Method+arn.RouteKey, "*?") {
				t.Errorf("resource %s has a wildcard before its verb", r)
			}
		}
	}
	return a, grants
}

// FuzzAuthorizerEvent: for any event, an answer has a shape that a gateway takes
// and names the API that asked, and there is no grant without the good token.
func FuzzAuthorizerEvent(f *testing.F) {
	good := mint(map[string]any{"scope": "admin orders:read"})
	for _, d := range documented {
		f.Add(sample(f, d.file, good))
		f.Add(sample(f, d.file, "x"))
	}
	for _, file := range []string{"appsync-events", "lattice-1.0", "lattice-2.0", "load-balancer", "websocket-message"} {
		f.Add(sample(f, file, good))
	}
	f.Add(tokenEvent("Bearer "+good, dev+"GET/me"))
	f.Add([]byte(`{"type":"REQUEST","version":"2.0","routeArn":"x"}`))
	f.Add([]byte(`{"type":"TOKEN","authorizationToken":null,"methodArn":7}`))
	f.Add([]byte(strings.Repeat(`{"a":`, 100)))
	all := styles(f)
	f.Fuzz(func(t *testing.T, event []byte) {
		for _, a := range all {
			out, err := a.Handle(t.Context(), event)
			if err != nil {
				if out != nil {
					t.Errorf("error %v came with %s", err, out)
				}
				continue
			}
			if _, grants := readAnswer(t, event, out); grants && !bytes.Contains(event, []byte(good)) && !bytes.Contains(event, []byte(`\u`)) {
				t.Errorf("%s got %s", event, out)
			}
		}
	})
}

// hostileEvents is how many events are broken at random: 10,000, in full 100,000.
func hostileEvents() int { return trial.Of(10_000, 100_000) }

// TestHostileEvents: events that are broken, without a good token in them: no crash and
// no grant. The seeds get one where the token is good.
func TestHostileEvents(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	all := styles(t)
	good := mint(map[string]any{"scope": "admin orders:read"})
	var bad [][]byte
	for _, token := range []string{"", "x", good[:len(good)-6] + "AAAAAA", strings.Replace(good, ".", "..", 1), mint(map[string]any{"exp": now.Unix() - 60}), strings.Repeat("a", 9000)} {
		for _, d := range documented {
			bad = append(bad, sample(t, d.file, token))
		}
	}
	for _, d := range documented {
		if _, grants := readAnswer(t, nil, answer(t, all[0], sample(t, d.file, good))); !grants {
			t.Errorf("%s with a good token gets no grant: the test would find none", d.file)
		}
	}
	read := 0
	for range hostileEvents() {
		event := mutate(random, pick(random, bad), bad)
		a := pick(random, all)
		if _, _, err := gateway.ReadEvent(event); err == nil {
			read++
		}
		out, err := a.Handle(t.Context(), event)
		if err != nil {
			if out != nil {
				t.Errorf("error %v came with %s", err, out)
			}
			continue
		}
		if _, grants := readAnswer(t, event, out); grants {
			t.Fatalf("%s got %s", event, out)
		}
	}
	if n := hostileEvents(); read < n/10 || read > n*9/10 {
		t.Errorf("%d of %d events can be read: all the same, or all too broken", read, n)
	}
}

// TestHostileEventsWithAGoodToken: however the rest of an event is broken, who holds a
// good token gets no more than the table grants, and for no API but one that stands in
// the event.
func TestHostileEventsWithAGoodToken(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	all := styles(t)
	good := mint(map[string]any{"scope": "orders:read"})
	var seeds [][]byte
	for _, d := range documented {
		seeds = append(seeds, sample(t, d.file, good))
	}
	grants := 0
	for range hostileEvents() {
		event := mutate(random, pick(random, seeds), seeds)
		out, err := pick(random, all).Handle(t.Context(), event)
		if err != nil {
			continue
		}
		a, granted := readAnswer(t, event, out)
		if !granted || a.PolicyDocument == nil {
			continue
		}
		grants++
		for _, s := range a.PolicyDocument.Statement {
			for _, r := range s.Resource {
				arn, err := gateway.ParseARN(r)
				method := arn.Method + "/" + arn.Path + arn.RouteKey
				if err != nil || method != "GET/me" && method != "GET/orders/*" && method != "/$connect" || !bytes.Contains(event, []byte(arn.API)) {
					t.Fatalf("%s got %s", event, out)
				}
			}
		}
	}
	if grants < hostileEvents()/20 {
		t.Errorf("only %d events got an answer to look at", grants)
	}
}

func answer(t testing.TB, a *gateway.Authorizer, event []byte) []byte {
	t.Helper()
	out, err := a.Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mutate breaks an event in up to three places: bytes changed, parts cut, doubled or
// taken from another event, values replaced by others that JSON allows.
func mutate(random *rand.Rand, event []byte, others [][]byte) []byte {
	event = bytes.Clone(event)
	for range 1 + random.IntN(3) {
		at := random.IntN(len(event) + 1)
		end := min(at+random.IntN(40), len(event))
		switch random.IntN(7) {
		case 0:
			if at < len(event) {
				event[at] ^= 1 << random.IntN(8)
			}
		case 1:
			event = append(event[:at:at], event[end:]...)
		case 2:
			event = append(append(event[:end:end], event[at:end]...), event[end:]...)
		case 3:
			other := pick(random, others)
			from := random.IntN(len(other))
			event = append(append(event[:at:at], other[from:min(from+random.IntN(200), len(other))]...), event[at:]...)
		default:
			event = replaceValue(random, event, others)
		}
	}
	return event
}

// replaceValue puts a value in the place of one that a member has.
func replaceValue(random *rand.Rand, event []byte, others [][]byte) []byte {
	colons := positions(event, ':')
	if len(colons) == 0 {
		return event
	}
	at := pick(random, colons) + 1
	var raw json.RawMessage
	if json.NewDecoder(bytes.NewReader(event[at:])).Decode(&raw) != nil {
		return event
	}
	start := at + bytes.Index(event[at:], raw)
	value := pick(random, []string{`null`, `true`, `0`, `1e400`, `""`, `[]`, `{}`, `"*"`, `"TOKEN"`, `"REQUEST"`, `"1.0"`, `"2.0"`, `"CONNECT"`, `["x"]`, `{"Authorization":["a","b"]}`,
		`"arn:aws:execute-api:eu-west-1:111122223333:other/*/*/*"`, `"\ud800"`, strings.Repeat("[", 40), strings.Repeat("9", 400)})
	if other := pick(random, others); random.IntN(3) == 0 {
		if from := positions(other, ':'); len(from) > 0 {
			var taken json.RawMessage
			if json.NewDecoder(bytes.NewReader(other[pick(random, from)+1:])).Decode(&taken) == nil {
				value = string(taken)
			}
		}
	}
	return append(append(event[:start:start], value...), event[start+len(raw):]...)
}

func positions(text []byte, c byte) []int {
	var at []int
	for i := range text {
		if text[i] == c {
			at = append(at, i)
		}
	}
	return at
}
