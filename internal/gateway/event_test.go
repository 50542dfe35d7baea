package gateway_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// wantSame writes the question as an event and reads it back.
func wantSame(t *testing.T, q gateway.Question) {
	t.Helper()
	event := gateway.TokenEvent(q)
	kind, got, err := gateway.ReadEvent(event)
	if err != nil {
		t.Fatalf("%+v is written as %s: %v", q, event, err)
	}
	q.Credential = string([]rune(q.Credential)) // each byte of broken UTF-8 becomes U+FFFD
	if diff := cmp.Diff(q, got); diff != "" || kind != gateway.KindToken {
		t.Errorf("%s is read as %q, -want +got:\n%s", event, kind, diff)
	}
}

// TestEventRoundTrip: what the local gateway sends is what the authorizer reads.
func TestEventRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string) string {
		runes := []rune(alphabet)
		b := make([]rune, random.IntN(12))
		for i := range b {
			b[i] = runes[random.IntN(len(runes))]
		}
		return string(b)
	}
	for range 2000 {
		wantSame(t, gateway.Question{
			Credential: text("Bearer \"\\/\x00\n\t\x7f,é\u2028\uFFFD😀{}:"),
			Asked: gateway.ARN{
				Partition: "aws" + text("-cn"), Region: "eu-1" + text("a-1"), Account: "1" + text("0123"), API: "a" + text("b1"), Stage: "$" + text("default_-1"),
				Method: "G" + text("ETS"), Path: text("a/:*?$%2f.~\"\\é"),
			},
		})
	}
}

func FuzzEventRoundTrip(f *testing.F) {
	f.Add("Bearer abc", dev+"GET/orders/42")
	f.Add("", arnHead+"*/GET/")
	f.Add("Bearer \xff\"\\", dev+`GET/"],"x":["/*`)
	f.Fuzz(func(t *testing.T, credential, arn string) {
		asked, err := gateway.ParseARN(arn)
		if err != nil || asked.RouteKey != "" || !utf8.ValidString(arn) {
			return // no gateway asks for these in a TOKEN event
		}
		wantSame(t, gateway.Question{Credential: credential, Asked: asked})
	})
}

// TestTokenEventsAreOfRESTAPIs: WebSocket APIs have no authorizers of type TOKEN, and
// a policy for a method and path would say nothing about a route key.
func TestTokenEventsAreOfRESTAPIs(t *testing.T) {
	a := newAuthorizer(shop(t))
	for _, routeKey := range []string{"$connect", "$disconnect", "$default"} {
		out, err := a.Handle(t.Context(), tokenEvent("Bearer "+mint(nil), dev+routeKey))
		if out != nil || err == nil || errors.Is(err, gateway.ErrUnauthorized) || !strings.Contains(err.Error(), "not with a route key") {
			t.Errorf("%s: %s, error %v", routeKey, out, err)
		}
	}
}
