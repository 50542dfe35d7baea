package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/web"
	"github.com/latchkey-auth/latchkey/internal/web/contract"
)

// at returns the object at the path in a JSON document.
func at(doc map[string]any, names ...string) map[string]any {
	for _, name := range names {
		doc, _ = doc[name].(map[string]any)
	}
	return doc
}

func TestDocumentIsOpenAPI31(t *testing.T) {
	c, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	doc := c.Document
	err = doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation(),
		openapi3.EnableSchemaPatternValidation(), openapi3.EnableMultiError())
	if err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.License == nil || doc.Info.License.Name != "MIT" || len(doc.Servers) != 1 || doc.Servers[0].URL != "/" {
		t.Errorf("got OpenAPI %s, info %+v, servers %v; want 3.1.0, MIT and /", doc.OpenAPI, doc.Info, doc.Servers)
	}
	got := slices.Sorted(maps.Keys(operations(doc)))
	if diff := gocmp.Diff(slices.Sorted(slices.Values(web.Routes)), got); diff != "" {
		t.Errorf("routes (-served +described):\n%s", diff)
	}
}

// operations returns those of the document by pattern, "POST /login".
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	all := make(map[string]*openapi3.Operation)
	for at, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			all[method+" "+at] = op
		}
	}
	return all
}

// TestDocumentHasNoLooseEnds looks for what the library lets pass.
func TestDocumentHasNoLooseEnds(t *testing.T) {
	var raw map[string]any
	if err := json.Unmarshal(web.OpenAPI, &raw); err != nil {
		t.Fatal(err)
	}
	refs := make(map[string]bool)
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/([^"]+)"`).FindAllStringSubmatch(string(web.OpenAPI), -1) {
		refs[m[1]] = true
	}
	refs["responses/MethodNotAllowed"] = true // no operation can answer it
	refs["securitySchemes/bearer"], refs["securitySchemes/revocationKey"] = true, true
	for kind, all := range at(raw, "components") {
		for name := range all.(map[string]any) {
			if !refs[kind+"/"+name] {
				t.Errorf("nothing refers to %s/%s", kind, name)
			}
		}
	}
	keywords := []string{"$ref", "type", "title", "description", "format", "enum", "pattern", "default", "examples", "oneOf", "items", "properties", "required",
		"additionalProperties", "minProperties", "maxProperties", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
	for name, schema := range at(raw, "components", "schemas") {
		eachSchema(schema, func(s map[string]any) {
			for keyword := range s {
				if !slices.Contains(keywords, keyword) {
					t.Errorf("%s: %q is not a keyword that this document uses", name, keyword)
				}
			}
			required, _ := s["required"].([]any)
			for _, member := range required {
				if at(s, "properties")[fmt.Sprint(member)] == nil {
					t.Errorf("%s: %s is required, but is no property", name, member)
				}
			}
		})
	}
}

// TestSecurityIsTheRule: an operation needs a bearer token unless it says that it
// does not, and the server agrees: without one exactly those answer 401.
func TestSecurityIsTheRule(t *testing.T) {
	c, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	root := c.Document.Security
	if len(root) != 1 || len(root[0]) != 1 || root[0]["bearer"] == nil {
		t.Fatalf("the root has security %v, want bearer", root)
	}
	f := discoverable(t)
	for pattern, op := range operations(c.Document) {
		method, path, _ := strings.Cut(pattern, " ")
		a := f.send(method, strings.Replace(path, "{id}", "x", 1), "{}", fields{"Content-Type": asJSON})
		// Logout takes either, and so names both.
		if needs := op.Security == nil || pattern == "POST /logout"; needs != (a.status == http.StatusUnauthorized) {
			t.Errorf("%s: answered %d without a token; described with security %v", pattern, a.status, op.Security)
		}
	}
}

// TestExamplesAreGood: the library looks at those of media types, not at those of
// schemas.
func TestExamplesAreGood(t *testing.T) {
	c, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	doc := c.Document
	seen := 0
	check := func(name string, s *openapi3.Schema) {
		for _, example := range s.Examples {
			seen++
			if err := s.VisitJSON(example, openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name, s := range doc.Components.Schemas {
		check(name, s.Value)
		for member, p := range s.Value.Properties {
			check(name+"."+member, p.Value)
		}
	}
	if seen < 10 {
		t.Errorf("%d examples are seen, want all", seen)
	}
}

// eachSchema visits a schema and those within.
func eachSchema(v any, visit func(map[string]any)) {
	s, ok := v.(map[string]any)
	if !ok {
		return
	}
	visit(s)
	eachSchema(s["items"], visit)
	for _, p := range at(s, "properties") {
		eachSchema(p, visit)
	}
	for _, key := range []string{"oneOf", "allOf", "anyOf"} {
		all, _ := s[key].([]any)
		for _, one := range all {
			eachSchema(one, visit)
		}
	}
}

// TestOperationsAreWhole: what all of them have in common is described for each.
func TestOperationsAreWhole(t *testing.T) {
	c, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	tags := make(map[string]bool)
	for pattern, op := range operations(c.Document) {
		if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || c.Document.Tags.Get(op.Tags[0]) == nil {
			t.Errorf("%s: there is no id, summary or known tag", pattern)
		}
		tags[op.Tags[0]] = true
		want := []int{500}
		if op.RequestBody != nil {
			want = append(want, 400, 413, 415, 503)
		}
		if op.Security == nil || len(*op.Security) > 0 { // nil: that of the root
			want = append(want, 401)
		}
		for _, status := range want {
			if op.Responses.Status(status) == nil {
				t.Errorf("%s: there is no %d", pattern, status)
			}
		}
		for status, r := range op.Responses.Map() {
			if n, err := strconv.Atoi(status); err != nil || http.StatusText(n) == "" {
				t.Errorf("%s: %q is no status", pattern, status)
			}
			headers := []string{"X-Request-Id", "Cache-Control"}
			switch status {
			case "401":
				headers = append(headers, "WWW-Authenticate")
			case "429", "503":
				headers = append(headers, "Retry-After")
			}
			if got := slices.Sorted(maps.Keys(r.Value.Headers)); !slices.Equal(got, slices.Sorted(slices.Values(headers))) {
				t.Errorf("%s: %s has the headers %s, want %s", pattern, status, got, headers)
			}
		}
		if op.RequestBody != nil {
			for _, media := range op.RequestBody.Value.Content {
				checkClosed(t, pattern, media.Schema.Value)
			}
		}
	}
	if len(tags) != len(c.Document.Tags) {
		t.Errorf("tags in use are %v", tags)
	}
}

// checkClosed: a request takes no member but its own, and none that is empty.
func checkClosed(t *testing.T, pattern string, s *openapi3.Schema) {
	t.Helper()
	for _, one := range s.OneOf {
		checkClosed(t, pattern, one.Value)
	}
	if len(s.OneOf) > 0 {
		return
	}
	if s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has {
		t.Errorf("%s: the request takes members that are not described", pattern)
	}
	for name, p := range s.Properties {
		if !p.Value.Type.Is("string") || p.Value.MinLength == 0 && p.Value.Enum == nil {
			t.Errorf("%s: %s is not a string, or may be empty", pattern, name)
		}
	}
}

// TestContractSeesFaults: a document that says something else is found out.
func TestContractSeesFaults(t *testing.T) {
	const anonymous = "without a token"
	f := newFixture(t)
	token := f.token()
	for name, c := range map[string]struct {
		old, new           string // in the document
		method, path, body string
	}{
		"a status":           {`"204": {"$ref": "#/components/responses/Done"}`, `"205": {"$ref": "#/components/responses/Done"}`, "POST", "/logout", `{"scope":"others"}`},
		"a path":             {`"/livez": {`, `"/lives": {`, "GET", "/livez", ""},
		"a method":           {`"patch": {`, `"put": {`, "PATCH", "/me", `{"name":"Ada"}`},
		"a member":           {`"email_verified": {"type": "boolean"`, `"verified": {"type": "boolean"`, "GET", "/me", ""},
		"a type":             {`"expires_in": {"type": "integer"`, `"expires_in": {"type": "boolean"`, "POST", "/login", `{"username":"ada","password":"` + password + `"}`},
		"a content type":     {`"application/jwk-set+json"`, `"application/json"`, "GET", "/.well-known/jwks.json", ""},
		"a header":           {`"X-Request-Id": {"$ref": "#/components/headers/RequestId"}`, `"X-Request-Name": {"$ref": "#/components/headers/RequestId"}`, "GET", "/livez", ""},
		"a header's value":   {`"enum": ["no-store"]`, `"enum": ["no-cache"]`, "GET", "/livez", ""},
		"a header too much":  {`, "WWW-Authenticate": {"$ref": "#/components/headers/Challenge"}`, ``, "GET", "/me", anonymous},
		"a code":             {`"unauthorized",`, `"unauthorised",`, "GET", "/me", anonymous},
		"a code's place":     {"`unauthorized`:", "`not_authorized`:", "GET", "/me", anonymous},
		"a request's member": {`"properties": {"name": {"$ref"`, `"properties": {"names": {"$ref"`, "PATCH", "/me", `{"name":"Ada"}`},
		"a request's length": {`"minLength": 1, "maxLength": 256`, `"minLength": 5, "maxLength": 256`, "PATCH", "/me", `{"name":"Ada"}`},
		"another's token":    {`"security": [],` + "\n" + `        "summary": "Whether the process answers"`, `"summary": "Whether the process answers"`, "GET", "/livez", anonymous},
		"no body":            {`"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Me"}}}`, `"x-body": "none"`, "GET", "/me", ""},
	} {
		document := strings.ReplaceAll(string(web.OpenAPI), c.old, c.new)
		altered, err := contract.New([]byte(document))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
		sent := c.body
		if sent == anonymous {
			sent = ""
		} else {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r.Body = io.NopCloser(strings.NewReader(sent))
		x := contract.Exchange{Request: r.Clone(t.Context()), Sent: []byte(sent)}
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		x.Status, x.Header, x.Body = w.Code, w.Header(), w.Body.String()
		if err := altered.Check(x); err == nil || document == string(web.OpenAPI) {
			t.Errorf("%s: got %d %s, and nothing is found wrong with it", name, w.Code, w.Body)
		}
	}
}

// TestFaultsAreReported: by both ends, and not forgotten where much the same was
// found good before.
func TestFaultsAreReported(t *testing.T) {
	c, err := contract.New(web.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	code := "unsupported_media_type"
	broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "abc")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnsupportedMediaType)
		fmt.Fprintf(w, `{"type":"about:blank","title":"Unsupported Media Type","status":415,"code":%q,"detail":"Send JSON.","request_id":"abc"}`, code)
	})
	var reported []error
	server := httptest.NewServer(c.Handler(broken, func(err error) { reported = append(reported, err) }))
	defer server.Close()
	client := &http.Client{Transport: c.Client(http.DefaultTransport)}
	for _, code = range []string{"unsupported_media_type", "unsupported_media_tipe", "unsupported_media_type"} {
		before := len(reported)
		res, err := client.Post(server.URL+"/login", "text/plain", strings.NewReader("hello"))
		if err == nil {
			res.Body.Close()
		}
		fault := (*contract.Fault)(nil)
		if bad := code == "unsupported_media_tipe"; errors.As(err, &fault) != bad || len(reported)-before != map[bool]int{true: 1}[bad] {
			t.Errorf("%s: the client got %v, and %v was reported", code, err, reported[before:])
		}
	}
}

// TestHeadIsNoFault: an answer to HEAD has no body.
func TestHeadIsNoFault(t *testing.T) {
	f := newFixture(t)
	c, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: c.Client(http.DefaultTransport)}
	for _, path := range []string{"/livez", "/me", "/nowhere"} {
		res, err := client.Head(f.server.URL + path)
		if err != nil {
			t.Error(err)
			continue
		}
		res.Body.Close()
	}
}

// TestReferenceHasEveryRoute compares the headings of docs/api.md, and what it says
// of /openapi.json, with what is served.
func TestReferenceHasEveryRoute(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, m := range regexp.MustCompile("(?m)^## ([A-Z]+ .*/.*)$|\\[`([A-Z]+ /[^`]*)`\\]").FindAllStringSubmatch(string(text), -1) {
		described = append(described, namedRoutes(m[1]+m[2])...)
	}
	slices.Sort(described)
	if diff := gocmp.Diff(slices.Sorted(slices.Values(web.Routes)), described); diff != "" {
		t.Errorf("routes (-served +docs/api.md):\n%s", diff)
	}
}

// namedRoutes reads "GET and POST /a, /b, DELETE /c".
func namedRoutes(heading string) []string {
	var all, verbs []string
	for part := range strings.SplitSeq(heading, ", ") {
		before, path, _ := strings.Cut(part, "/")
		if before != "" {
			verbs = strings.Fields(strings.ReplaceAll(before, " and ", " "))
		}
		for _, verb := range verbs {
			all = append(all, verb+" /"+path)
		}
	}
	return all
}

// TestCodesAreOneSet: those in the source, in the document and in docs/api.md.
func TestCodesAreOneSet(t *testing.T) {
	c, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	var inDocument []string
	for _, code := range c.Document.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		inDocument = append(inDocument, fmt.Sprint(code))
	}
	slices.Sort(inDocument)
	inSource := sourceCodes(t)
	if diff := gocmp.Diff(inSource, inDocument); diff != "" {
		t.Errorf("codes (-source +document):\n%s", diff)
	}
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var inText []string
	for _, m := range regexp.MustCompile("(?m)^\\| \\d{3} \\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		inText = append(inText, m[1])
	}
	slices.Sort(inText)
	if diff := gocmp.Diff(inSource, inText); diff != "" {
		t.Errorf("codes (-source +docs/api.md):\n%s", diff)
	}
}

// sourceCodes returns the codes that this package can answer.
func sourceCodes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			code, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[code] = true
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "code") {
					add(n.Value)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "badRequest" {
					add(n.Args[0])
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(codes))
}

func TestDocumentIsServed(t *testing.T) {
	f := newFixture(t)
	a := f.get("/openapi.json", nil)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != asJSON || a.header.Get("Cache-Control") != "public, max-age=300" || a.body != string(web.OpenAPI) {
		t.Errorf("got %d %v and %d bytes, want the document as JSON, max-age 300", a.status, a.header, len(a.body))
	}
}
