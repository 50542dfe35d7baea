package proxy_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
)

// TestAuthorizerEventRoundTrip: what the local gateway sends for a request, the
// authorizer reads, wherever the token stands.
func TestAuthorizerEventRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string) string {
		b := []byte("x")
		for range random.IntN(12) {
			b = append(b, alphabet[random.IntN(len(alphabet))])
		}
		return string(b)
	}
	sources, err := gateway.ParseTokenSources("header:Authorization,header:X-Token,cookie:session,query:t")
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		asked := gateway.ARN{Partition: "aws", Region: "eu-west-1", Account: "123456789012", API: "a1", Stage: "dev", Method: "GET", Path: text("abc/%2f:")}
		token := text("abcXYZ019-_.")
		r := httptest.NewRequest("GET", "/?a="+url.QueryEscape(text(`"\&= é`)), nil)
		r.Header.Set("X-Other", text("\"\\\t<>é\xff"))
		want := gateway.Question{Credential: token, Bare: true, Asked: asked}
		switch random.IntN(5) {
		case 0:
			want.Credential, want.Bare = "Bearer "+token, false
			r.Header.Set("Authorization", want.Credential)
		case 1:
			r.Header.Set("X-Token", token)
		case 2:
			r.Header.Set("Cookie", "a="+text("b; c")+"; session="+token+"; d")
		case 3:
			r.URL.RawQuery += "&t=" + token
		default:
			want.Credential, want.Bare, want.Unclear = "", false, "a token in more than one place"
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Add([]string{"Authorization", "X-Token"}[random.IntN(2)], token)
		}
		event, err := json.Marshal(proxy.NewAuthorizerEvent(r, asked, proxy.Setting{Stage: "dev"}))
		if err != nil {
			t.Fatal(err)
		}
		kind, got, err := gateway.ReadEvent(event, sources...)
		if err != nil || kind != gateway.KindRequest || got != want {
			t.Fatalf("%s is read as %q, %+v, error %v, want %+v", event, kind, got, err, want)
		}
	}
}
