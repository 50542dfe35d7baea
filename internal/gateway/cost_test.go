package gateway_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func TestCostOfParseARN(t *testing.T) {
	for _, part := range []string{"a", "/", ":", "*", "%2f"} { // up to the quota; what is longer is refused by its length
		costtest.Linear(t, 150, func(n int) string { return "arn:aws:execute-api:r:1:a/s/V/" + strings.Repeat(part, n/len(part)) }, func(text string) { gateway.ParseARN(text) })
	}
}

func TestCostOfMatch(t *testing.T) {
	table, err := gateway.NewTable([]gateway.Route{
		{Method: "GET", Path: "/a/{x}", Public: true, To: "f"}, {Method: "ANY", Path: "/a/{x}/b/{rest+}", Public: true, To: "f"}, {Method: "GET", Path: "/{rest+}", Public: true, To: "f"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"/a", "/", "a", "/a/b", "%2f", "%25", "/.", "/..", "\u200b", "%e2%80%8b"} {
		costtest.Linear(t, 2<<10, func(n int) string { return "/a" + strings.Repeat(part, n/len(part)) }, func(path string) { table.Match("GET", path) })
	}
}
