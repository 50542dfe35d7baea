package suggest_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/suggest"
)

func TestClosest(t *testing.T) {
	names := []string{"addr", "audience", "public-url", "to", "issuer", "route", "routes", "publicEndpoint"}
	for word, want := range map[string]string{
		"adress":                   "", // two edits of four letters
		"adr":                      "addr",
		"rout":                     "route",
		"rotue":                    "route",
		"routs":                    "route",
		"public_url":               "public-url",
		"publicendpoint":           "publicEndpoint",
		"PUBLIC-URL":               "public-url",
		"isuer":                    "issuer",
		"at":                       "",
		"x":                        "",
		"":                         "",
		"completely-else":          "",
		strings.Repeat("a", 1<<20): "",
	} {
		if got := suggest.Closest(word, names); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
	if got := suggest.DidYouMean("rout", names); got != `: did you mean "route"?` {
		t.Error(got)
	}
}
