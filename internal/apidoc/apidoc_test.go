package apidoc

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func read(t *testing.T, name string) Document {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// lines are the routes in one line each, and what was not read without its line.
func (d Document) lines() []string {
	var all []string
	for _, r := range d.Routes {
		line := fmt.Sprintf("%s by %q to %q", r, r.Authorizer, r.To)
		if r.Scopes != nil {
			line += " " + strings.Join(r.Scopes, ",")
		}
		all = append(all, line)
	}
	for _, u := range d.Unread {
		_, what, _ := strings.Cut(u, ": ")
		all = append(all, "? "+what)
	}
	return all
}

func TestSAM(t *testing.T) {
	doc := read(t, "sam.yaml")
	want := []string{
		`GET /inline/{id} by "Tokens" to "Orders"`,
		`OPTIONS /inline/{id} by "" to ""`,
		`GET /orders/{id} by "Tokens" to "Orders"`,
		`POST /orders by "Tokens" to "Orders" orders:write,orders:admin`,
		`GET /health by "" to "Orders"`,
		`ANY /rest/{path+} by "Tokens" to "Orders"`,
		`GET /users/{id} by "Tokens" to ""`,
		`DELETE /users/{id} by "AWS_IAM" to ""`,
		`ANY / by "" to ""`,
		`GET /v2 by "Jwt" to "Orders"`,
		`? DefinitionUri of Imported: check that document by itself`,
		`? event Everything of Orders is $default, the route of everything else: no policy has it, and it is open or not as a whole`,
		`? path and method of event Named of Orders`,
		`? the function URL of Orders is open: the API's authorizer is not asked`,
		`? path and method of Lost`,
		`? route key of V2Default: "$default" is no verb and path`,
	}
	if diff := cmp.Diff(want, doc.lines()); diff != "" || doc.Kind != SAM {
		t.Errorf("%s (-want +got):\n%s", doc.Kind, diff)
	}
}

func TestServerless(t *testing.T) {
	doc := read(t, "serverless.yml")
	want := []string{
		`POST /login by "" to "login"`,
		`GET /publicEndpoint by "" to "publicEndpoint"`,
		`GET /privateEndpoint by "authorizer" to "privateEndpoint"`,
		`ANY /admin/{path+} by "authorizer" to "privateEndpoint"`,
		`GET /v2/{id} by "" to "v2"`,
		`ANY /v2 by "jwt" to "v2" v2:read`,
		`GET /iam by "AWS_IAM" to "v2"`,
		`? the function URL of v2 is open: the API's authorizer is not asked`,
		`? httpApi "*" of function v2 is $default, the route of everything else: no policy has it`,
		`? event of function v2: get ${self:custom.path}`,
		`? event of function v2: ${file(events.yml)}`,
		`? function elsewhere: ${file(elsewhere.yml)}`,
	}
	if diff := cmp.Diff(want, doc.lines()); diff != "" || doc.Kind != Serverless {
		t.Errorf("%s (-want +got):\n%s", doc.Kind, diff)
	}
}

func TestOpenAPI(t *testing.T) {
	doc := read(t, "openapi.json")
	want := []string{
		`GET /orders/{id} by "tokens" to "" orders:read`,
		`DELETE /orders/{id} by "AWS_IAM" to ""`,
		`GET /health by "" to ""`,
		`GET /counted by "" to ""`,
		`GET /either by "" to ""`,
		`ANY /rest/{path+} by "tokens" to ""`,
		`? path /elsewhere: $ref`,
	}
	if diff := cmp.Diff(want, doc.lines()); diff != "" || doc.Kind != OpenAPI {
		t.Errorf("%s (-want +got):\n%s", doc.Kind, diff)
	}
}

func TestWhatIsNoDocument(t *testing.T) {
	for _, text := range []string{"", "x", "- 1", "paths: 1", "Resources: []", "a: b", "null"} {
		if _, err := Read([]byte(text)); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Read([]byte("a: [")); err == nil {
		t.Error("broken YAML is read")
	}
	if _, err := Read(make([]byte, MaxSize+1)); err == nil {
		t.Error("a document of any length is read")
	}
}

// Anchors that name each other cost no more than a document without them.
func TestAnchorsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("x0: &x0 {get: {}}\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&b, "x%d: &x%d {<<: [*x%d, *x%d], a: *x%d}\n", i, i, i-1, i-1, i-1)
	}
	b.WriteString("paths: {/a: *x39}\n")
	doc, err := Read([]byte(b.String()))
	if err == nil && len(doc.Routes) > 1 {
		t.Errorf("%d routes", len(doc.Routes))
	}
}

func routes(t *testing.T, lines ...string) []gateway.Route {
	t.Helper()
	var all []gateway.Route
	for _, line := range lines {
		line, public := strings.CutPrefix(line, "public ")
		verbs, path, err := gateway.ParseRoute(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range verbs {
			all = append(all, gateway.Route{Method: verb, Path: path, Public: public, To: "f"})
		}
	}
	return all
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		what  string
		table []string
		doc   []Route
		want  []string // a part of the problem of each finding
	}{
		{"the same", []string{"GET /orders/{id}", "public GET /health"},
			[]Route{{Verb: "GET", Path: "/orders/{order}", Authorizer: "a"}, {Verb: "GET", Path: "/health"}, {Verb: "OPTIONS", Path: "/orders/{order}"}}, nil},
		{"no authorizer", []string{"GET /orders"}, []Route{{Verb: "GET", Path: "/orders"}}, []string{"anybody may call it"}},
		{"an authorizer on a public route", []string{"public GET /health"}, []Route{{Verb: "GET", Path: "/health", Authorizer: "a"}}, []string{"everybody gets 403"}},
		{"IAM", []string{"GET /orders"}, []Route{{Verb: "GET", Path: "/orders", Authorizer: IAM}}, []string{"signed requests"}},
		{"a route that the table lacks", nil, []Route{{Verb: "GET", Path: "/orders", Authorizer: "a"}}, []string{"every token gets 403"}},
		{"an open one", nil, []Route{{Verb: "GET", Path: "/orders"}}, []string{"does not know it"}},
		{"one of the auth service", nil, []Route{{Verb: "POST", Path: "/login"}}, nil},
		{"one that the API lacks", []string{"GET /orders"}, nil, []string{"the API has no such route"}},
		{"an open greedy route", []string{"GET /orders", "public GET /health"}, []Route{{Verb: "ANY", Path: "/{proxy+}"}, {Verb: "GET", Path: "/health"}},
			[]string{"does not know it", "the authorizer is never asked"}},
		{"an open greedy route beside it", []string{"GET /orders", "public ANY /{path+}"}, []Route{{Verb: "ANY", Path: "/{proxy+}"}, {Verb: "GET", Path: "/orders", Authorizer: "a"}}, nil},
		{"a greedy route with the authorizer", []string{"GET /orders", "POST /orders"}, []Route{{Verb: "ANY", Path: "/{proxy+}", Authorizer: "a"}}, nil},
		{"open for every verb", []string{"public GET /orders"}, []Route{{Verb: "ANY", Path: "/orders"}}, []string{"for every verb"}},
		{"every verb of the table", []string{"ANY /orders"}, []Route{{Verb: "GET", Path: "/orders"}, {Verb: "POST", Path: "/orders", Authorizer: "a"}}, []string{"anybody may call it"}},
	} {
		var got []string
		for _, f := range Compare(routes(t, c.table...), routes(t, "public POST /login"), Document{Routes: c.doc}) {
			got = append(got, f.Problem)
		}
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestTheTableOfADocumentAgreesWithIt(t *testing.T) {
	for _, name := range []string{"serverless.yml", "openapi.json"} {
		doc := read(t, name)
		table, left := doc.Table(nil)
		doc.Routes = slices.DeleteFunc(doc.Routes, func(r Route) bool { return r.Authorizer == IAM })
		if findings := Compare(table, nil, doc); len(findings) > 0 {
			t.Errorf("%s: %v", name, findings)
		}
		if len(left) != 1 { // by IAM
			t.Errorf("%s: left out: %v", name, left)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"sam.yaml", "serverless.yml", "openapi.json"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("paths: &a {/x: *a}"))
	f.Add([]byte("Resources: {A: {Type: AWS::ApiGateway::Resource, Properties: {ParentId: !Ref A, PathPart: a}}, M: {Type: AWS::ApiGateway::Method, Properties: {ResourceId: !Ref A, HttpMethod: GET}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := Read(text)
		if err != nil {
			return
		}
		table, _ := doc.Table(nil)
		Compare(table, nil, doc)
		for _, r := range doc.Routes {
			if !slices.Contains(verbs, r.Verb) || r.Path[0] != '/' {
				t.Errorf("route %q", r)
			}
		}
	})
}
