package gateway_test

import (
	"fmt"
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

// TestCostOfReadEvent: clients choose headers, cookies and parameters of an event.
func TestCostOfReadEvent(t *testing.T) {
	sources, err := gateway.ParseTokenSources("header:Authorization,header:X-Token,cookie:session,query:access_token,protocol")
	if err != nil {
		t.Fatal(err)
	}
	const size = 8 << 10
	repeated := func(before, part, after string) func(int) string {
		return func(n int) string { return before + strings.Repeat(part, n/len(part)) + after }
	}
	const rest = `{"type":"REQUEST","methodArn":"` + dev + `GET/me","requestContext":{"httpMethod":"GET"},`
	const socket = `{"type":"REQUEST","methodArn":"` + dev + `$connect","requestContext":{"eventType":"CONNECT","connectionId":"x"},`
	for name, text := range map[string]func(int) string{
		"a long token":       repeated(rest+`"headers":{"Authorization":"Bearer `, "a", `"}}`),
		"many values":        repeated(rest+`"multiValueHeaders":{"Authorization":[`, `"Bearer a",`, `"x"]}}`),
		"many headers":       func(n int) string { return rest + `"headers":{` + members(n) + `}}` },
		"many parameters":    func(n int) string { return rest + `"queryStringParameters":{` + members(n) + `}}` },
		"many cookies":       repeated(rest+`"headers":{"Cookie":"`, "session=a;", `"}}`),
		"spaces in a cookie": repeated(rest+`"headers":{"Cookie":"`, " ", `"}}`),
		"a list of cookies":  repeated(rest+`"cookies":[`, `"session=a",`, `"b"]}`),
		"many subprotocols":  repeated(socket+`"headers":{"Sec-WebSocket-Protocol":"`, "bearer,", `"}}`),
		"identity sources":   repeated(`{"type":"REQUEST","version":"2.0","routeKey":"GET /me","routeArn":"`+dev+`GET/me","headers":{"authorization":"Bearer aaab"},"identitySource":[`, `"aaaaaaaa",`, `""]}`),
		"variables":          repeated(`{"authorizationToken":"x","requestContext":{"apiId":"a","accountId":"1","queryString":"","variables":{"a":[`, `{"b":1},`, `1]}}}`),
	} {
		t.Run(name, func(t *testing.T) {
			costtest.Linear(t, size, text, func(event string) { gateway.ReadEvent([]byte(event), sources...) })
		})
	}
}

func members(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `"m%06d":"x",`, i)
	}
	return b.String() + `"z":"x"`
}
