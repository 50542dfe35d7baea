package gateway_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func TestTableJSONRoundTrip(t *testing.T) {
	tb, err := gateway.NewTable([]gateway.Route{
		route(t, "GET /health", "public"),
		route(t, "GET /orders/{id}", "orders:read"),
		route(t, "POST /orders", "orders:read orders:write"),
		route(t, "DELETE /orders/{id}", "orders:write|admin"),
		{Method: "PUT", Path: "/orders/{id}", Scopes: []string{"admin"}, AnyScope: true, To: "f"}, // any of one is all of one
		{Method: "ANY", Path: "/files/{path+}", To: `http://127.0.0.1:3000/a?b="c"&d=\`},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "version": 1,
  "routes": [
    {"route": "ANY /files/{path+}", "to": "http://127.0.0.1:3000/a?b=\"c\"&d=\\"},
    {"route": "GET /health", "public": true, "to": "f"},
    {"route": "GET /orders/{id}", "scopes": ["orders:read"], "to": "f"},
    {"route": "DELETE /orders/{id}", "scopes": {"any": ["orders:write", "admin"]}, "to": "f"},
    {"route": "PUT /orders/{id}", "scopes": ["admin"], "to": "f"},
    {"route": "POST /orders", "scopes": ["orders:read", "orders:write"], "to": "f"}
  ]
}
`
	if diff := cmp.Diff(want, string(tb.JSON())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	back, err := gateway.ParseTable(tb.JSON())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tb.Routes(), back.Routes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseTableRefuses(t *testing.T) {
	tests := map[string]struct{ doc, says string }{
		"nothing":                 {``, "not a JSON object"},
		"a list":                  {`[]`, "not a JSON object"},
		"no version":              {`{"routes":[]}`, "version 0: must be 1; compile it again"},
		"another version":         {`{"version":2,"routes":[]}`, "version 2: must be 1; compile it again"},
		"a version in quotes":     {`{"version":"1","routes":[]}`, "must be 1"},
		"a fraction of a version": {`{"version":1.0,"routes":[]}`, "must be 1"},
		"an unknown member":       {`{"version":1,"route":[]}`, `unknown member "route"`},
		"routes twice":            {`{"version":1,"routes":[],"routes":[]}`, "stands twice"},
		"routes that are no list": {`{"version":1,"routes":{}}`, "not an array"},
		"a route that is text":    {`{"version":1,"routes":["GET /"]}`, "not a JSON object"},
		"an unknown route member": {`{"version":1,"routes":[{"route":"GET /","scope":"a","to":"f"}]}`, `unknown member "scope"`},
		"a route without verb":    {`{"version":1,"routes":[{"route":"/","to":"f"}]}`, "must be a verb"},
		"a route that is null":    {`{"version":1,"routes":[{"route":null,"to":"f"}]}`, `"route" has the wrong type`},
		"public in quotes":        {`{"version":1,"routes":[{"route":"GET /","public":"false","to":"f"}]}`, `"public" has the wrong type`},
		"scopes in one text":      {`{"version":1,"routes":[{"route":"GET /","scopes":"a b","to":"f"}]}`, "not an array"},
		"two verbs":               {`{"version":1,"routes":[{"route":"GET,HEAD /","to":"f"}]}`, "one verb here"},
		"any of no scopes":        {`{"version":1,"routes":[{"route":"GET /","scopes":{"any":[]},"to":"f"}]}`, "scopes must be a list of one at least"},
		"no issuers":              {`{"version":1,"routes":[{"route":"GET /","issuers":[],"to":"f"}]}`, "issuers must be a list of one at least"},
		"an acr that is text":     {`{"version":1,"routes":[{"route":"GET /","acr":"2","to":"f"}]}`, "not an array"},
		"an amr twice":            {`{"version":1,"routes":[{"route":"GET /","amr":["otp","otp"],"to":"f"}]}`, `amr "otp" stands twice`},
		"no age":                  {`{"version":1,"routes":[{"route":"GET /","max_auth_age":0,"to":"f"}]}`, "max_auth_age 0 must be 1 to"},
		"an age in words":         {`{"version":1,"routes":[{"route":"GET /","max_auth_age":"10m","to":"f"}]}`, `"max_auth_age" has the wrong type`},
		"an age of ages":          {`{"version":1,"routes":[{"route":"GET /","max_auth_age":9223372036854775807,"to":"f"}]}`, "must be 1 to"},
		"public and of issuers":   {`{"version":1,"routes":[{"route":"GET /","public":true,"issuers":["a"],"to":"f"}]}`, "is public and asks for issuers or a sign-in"},
		"public and with an age":  {`{"version":1,"routes":[{"route":"GET /","public":true,"max_auth_age":1,"to":"f"}]}`, "is public and asks for issuers or a sign-in"},
		"an acr with a quote":     {`{"version":1,"routes":[{"route":"GET /","acr":["a\"b"],"to":"f"}]}`, "visible ASCII"},
		"all of scopes":           {`{"version":1,"routes":[{"route":"GET /","scopes":{"all":["a"]},"to":"f"}]}`, `unknown member "all"`},
		"an empty object":         {`{"version":1,"routes":[{"route":"GET /","scopes":{},"to":"f"}]}`, "any scope of an empty list"},
		"a scope that is null":    {`{"version":1,"routes":[{"route":"GET /","scopes":[null],"to":"f"}]}`, "scopes must be strings"},
		"a number to lead to":     {`{"version":1,"routes":[{"route":"GET /","to":7}]}`, `"to" has the wrong type`},
		"nothing to lead to":      {`{"version":1,"routes":[{"route":"GET /"}]}`, "needs a destination"},
		"two documents":           {`{"version":1,"routes":[]}{}`, "something follows"},
		"too much granted":        {`{"version":1,"routes":[{"route":"GET /{a+}","to":"f"},{"route":"GET /b/{c}","scopes":["b"],"to":"f"}]}`, "overlap in a policy"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tb, err := gateway.ParseTable([]byte(test.doc))
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			if tb != nil {
				t.Error("a table came with the error")
			}
		})
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add([]byte(`{"version":1,"routes":[{"route":"GET /a/{b}","scopes":["x","y"],"to":"f"},{"route":"ANY /{p+}","public":true,"to":"g"}]}`))
	f.Add([]byte(`{"version":1,"routes":[{"route":"GET /{a+}","to":"f"},{"route":"GET /b","scopes":["b"],"to":"f"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"routes":[{"route":"GET /a","issuers":["latchkey","a"],"acr":["1","2"],"amr":["pwd","otp"],"max_auth_age":600,"to":"f"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		tb, err := gateway.ParseTable(doc)
		if err != nil {
			return
		}
		out := tb.JSON()
		back, err := gateway.ParseTable(out)
		if err != nil {
			t.Fatalf("%s is written as %s, which is refused: %v", doc, out, err)
		}
		if again := back.JSON(); !bytes.Equal(out, again) {
			t.Errorf("%s is written as %s and then as %s", doc, out, again)
		}
	})
}
