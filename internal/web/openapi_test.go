package web_test

import (
	"bytes"
	"cmp"
	"context"
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
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/web"
)

// A contract holds requests and answers against the OpenAPI document.
type contract struct {
	mux    *http.ServeMux            // finds the pattern of a request
	routes map[string]*routers.Route // by pattern, "POST /login"
	// nowhere is what paths and methods answer that the document does not have.
	nowhere *routers.Route
	// good holds what was found good. The library compiles a schema anew for each
	// use, which is too slow for ten thousand bodies.
	good sync.Map
}

// ours is the contract of the document that is served.
var ours = sync.OnceValues(func() (*contract, error) { return newContract(web.OpenAPI) })

func newContract(document []byte) (*contract, error) {
	doc, err := loadDocument(document)
	if err != nil {
		return nil, err
	}
	c := &contract{mux: http.NewServeMux(), routes: make(map[string]*routers.Route)}
	for at, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			c.routes[method+" "+at] = &routers.Route{Spec: doc, Path: at, PathItem: item, Method: method, Operation: op}
			c.mux.Handle(method+" "+at, http.NotFoundHandler())
		}
	}
	outside := openapi3.NewResponses(
		openapi3.WithStatus(http.StatusNotFound, doc.Components.Responses["NotFound"]),
		openapi3.WithStatus(http.StatusMethodNotAllowed, doc.Components.Responses["MethodNotAllowed"]),
	)
	c.nowhere = &routers.Route{Spec: doc, PathItem: &openapi3.PathItem{}, Operation: &openapi3.Operation{Responses: outside}}
	return c, nil
}

// loadDocument reads the document with answers closed: clients must bear members
// that they do not know, but a server that sends some is not as described.
func loadDocument(document []byte) (*openapi3.T, error) {
	var raw map[string]any
	if err := json.Unmarshal(document, &raw); err != nil {
		return nil, err
	}
	for _, s := range at(raw, "components", "schemas") {
		if schema := s.(map[string]any); schema["properties"] != nil && schema["additionalProperties"] == nil {
			schema["additionalProperties"] = false
		}
	}
	// A description beside a $ref takes the place of the component's (OpenAPI 3.1,
	// Reference Object). The library changes the component itself, for everybody.
	for _, item := range at(raw, "paths") {
		for _, op := range item.(map[string]any) {
			responses := at(op.(map[string]any), "responses")
			for status, r := range responses {
				own := r.(map[string]any)
				if ref, ok := own["$ref"].(string); ok && own["description"] != nil {
					copied := maps.Clone(at(raw, "components", "responses", path.Base(ref)))
					copied["description"] = own["description"]
					responses[status] = copied
				}
			}
		}
	}
	closed, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(closed)
}

// at returns the object at the path in a JSON document.
func at(doc map[string]any, names ...string) map[string]any {
	for _, name := range names {
		doc, _ = doc[name].(map[string]any)
	}
	return doc
}

// route returns what the document says of the request.
func (c *contract) route(r *http.Request) (*routers.Route, string) {
	if r.URL.RawPath != "" || r.URL.Path != path.Clean(r.URL.Path) {
		return c.nowhere, ""
	}
	_, pattern := c.mux.Handler(r)
	return cmp.Or(c.routes[pattern], c.nowhere), pattern
}

// exchange is a request as the server has read it, and its answer.
type exchange struct {
	request *http.Request
	route   *routers.Route
	pattern string
	sent    []byte
	answer
}

// check says in what the exchange is not as the document has it.
func (c *contract) check(x exchange) error {
	if x.request.Method == http.MethodOptions && x.status == http.StatusNoContent && x.header.Get("Access-Control-Allow-Methods") != "" {
		return nil // a preflight is the browser's, not the client's
	}
	if err := c.once(x.responseKey(), func() error { return checkAnswer(x) }); err != nil {
		return fmt.Errorf("%d %v %.300s: %w", x.status, x.header, x.body, err)
	}
	if x.status/100 != 2 {
		return nil
	}
	if err := c.once(x.requestKey(), func() error { return checkRequest(x) }); err != nil {
		return fmt.Errorf("the request is answered with %d, but is not as described: %w", x.status, err)
	}
	return nil
}

func (c *contract) once(key string, check func() error) error {
	if _, ok := c.good.Load(key); ok {
		return nil
	}
	err := check()
	if err == nil {
		c.good.Store(key, true)
	}
	return err
}

// conditional are the header fields that an answer has only where the document
// says so.
var conditional = []string{"Retry-After", "Www-Authenticate", "Allow"}

// position is where a body broke: there are as many as there are bytes.
var position = regexp.MustCompile(`at byte [0-9]+`)

// responseKey is equal for answers that differ only in their request id and in
// where a body broke.
func (x exchange) responseKey() string {
	var key strings.Builder
	fmt.Fprintf(&key, "answer %s %p %d\n", x.pattern, x.route, x.status)
	for _, name := range append([]string{"Content-Type", "Cache-Control"}, conditional...) {
		fmt.Fprintln(&key, x.header.Values(name))
	}
	body := x.body
	if id := x.header.Get("X-Request-Id"); id != "" {
		fmt.Fprintln(&key, "with an id")
		body = strings.ReplaceAll(body, id, "id")
	}
	return key.String() + position.ReplaceAllString(body, "at a byte")
}

func (x exchange) requestKey() string {
	return fmt.Sprintf("request %s\n%v %q %q\n%s", x.pattern, x.request.Header.Get("Authorization") != "", x.request.Header.Get("Content-Type"), x.request.URL.RawQuery, x.sent)
}

func (x exchange) input() *openapi3filter.RequestValidationInput {
	r := x.request.Clone(context.Background())
	r.Body = io.NopCloser(bytes.NewReader(x.sent))
	if len(bytes.TrimSpace(x.sent)) == 0 {
		r.Body = http.NoBody
	} else if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", asJSON) // which the document says in words only
	}
	return &openapi3filter.RequestValidationInput{
		Request: r, Route: x.route, PathParams: map[string]string{"id": path.Base(r.URL.Path)},
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, SkipSettingDefaults: true,
			AuthenticationFunc: func(_ context.Context, in *openapi3filter.AuthenticationInput) error {
				if values := r.Header.Values("Authorization"); len(values) != 1 || !strings.HasPrefix(strings.ToLower(values[0]), "bearer ") {
					return fmt.Errorf("%s: there is no bearer token", in.SecuritySchemeName)
				}
				return nil
			},
		},
	}
}

func checkRequest(x exchange) error {
	return openapi3filter.ValidateRequest(context.Background(), x.input())
}

func checkAnswer(x exchange) error {
	in := x.input()
	in.Request.Method = cmp.Or(x.route.Method, in.Request.Method) // the library does not look at answers to HEAD
	if in.Request.Method == http.MethodHead {
		in.Request.Method = http.MethodGet
	}
	response := x.route.Operation.Responses.Status(x.status)
	if response == nil {
		return errors.New("the document does not have this status")
	}
	if err := checkAnswerForm(x, response.Value); err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: x.status, Header: x.header, Options: in.Options,
		Body: io.NopCloser(strings.NewReader(x.body)),
	})
}

// checkAnswerForm looks at what the library does not: a body where none is
// described, header fields that are not described, members that stand twice, and
// codes that the description does not name.
func checkAnswerForm(x exchange, response *openapi3.Response) error {
	if len(response.Content) == 0 && (x.body != "" || x.header.Get("Content-Type") != "") {
		return errors.New("the document does not have a body here")
	}
	for _, name := range conditional {
		described := slices.ContainsFunc(slices.Collect(maps.Keys(response.Headers)), func(n string) bool { return strings.EqualFold(n, name) })
		if x.header.Get(name) != "" && !described {
			return fmt.Errorf("the document does not have the header %s here", name)
		}
	}
	switch media, _, _ := strings.Cut(x.header.Get("Content-Type"), ";"); {
	case media == "text/html":
		if !strings.HasPrefix(x.body, "<!doctype html>") {
			return errors.New("the body is no page")
		}
	case media == "application/problem+json":
		var p problem
		if err := json.Unmarshal([]byte(x.body), &p); err != nil {
			return err
		}
		if p.Status != x.status || !strings.Contains(*response.Description, "`"+p.Code+"`") {
			return fmt.Errorf("the description %q does not name %s, or the body has the status %d", *response.Description, p.Code, p.Status)
		}
	case x.status/100 != 2:
		return errors.New("the error is no problem")
	}
	return nil
}

// described holds every request to the handler, and its answer, against the
// document.
func described(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	c, err := ours()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchange{request: r.Clone(r.Context())} // as it came: the handler may change it
		x.route, x.pattern = c.route(r)
		var sent, answered bytes.Buffer
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &sent), r.Body}
		tee := &teeWriter{ResponseWriter: w, body: &answered}
		next.ServeHTTP(tee, r)
		x.sent, x.answer = sent.Bytes(), answer{tee.status, w.Header(), answered.String()}
		if err := c.check(x); err != nil {
			t.Errorf("%s %s %.200q: %v", r.Method, x.request.URL.Path, x.sent, err)
		}
	})
}

// teeWriter keeps what is answered.
type teeWriter struct {
	http.ResponseWriter
	status int
	body   *bytes.Buffer
}

func (w *teeWriter) WriteHeader(status int) {
	w.status = cmp.Or(w.status, status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *teeWriter) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

func (w *teeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func init() {
	openapi3filter.RegisterBodyDecoder("application/jwk-set+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
}

func TestDocumentIsOpenAPI31(t *testing.T) {
	doc, err := loadDocument(web.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	err = doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation(),
		openapi3.EnableSchemaPatternValidation(), openapi3.EnableMultiError())
	if err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.License == nil || doc.Info.License.Name != "MIT" || len(doc.Servers) != 1 || doc.Servers[0].URL != "/" {
		t.Errorf("got OpenAPI %s, info %+v, servers %v; want 3.1.0, MIT and /", doc.OpenAPI, doc.Info, doc.Servers)
	}
	var got []string
	for at, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			got = append(got, method+" "+at)
		}
	}
	slices.Sort(got)
	if diff := gocmp.Diff(slices.Sorted(slices.Values(web.Routes)), got); diff != "" {
		t.Errorf("routes (-served +described):\n%s", diff)
	}
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
	refs["securitySchemes/bearer"] = true
	for kind, all := range at(raw, "components") {
		for name := range all.(map[string]any) {
			if !refs[kind+"/"+name] {
				t.Errorf("nothing refers to %s/%s", kind, name)
			}
		}
	}
	keywords := []string{"$ref", "type", "title", "description", "format", "enum", "pattern", "default", "examples", "oneOf", "items", "properties", "required",
		"additionalProperties", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
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

// TestExamplesAreGood: the library looks at those of media types, not at those of
// schemas.
func TestExamplesAreGood(t *testing.T) {
	doc, err := loadDocument(web.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
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
	c, err := ours()
	if err != nil {
		t.Fatal(err)
	}
	tags := make(map[string]bool)
	for pattern, route := range c.routes {
		op := route.Operation
		if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || route.Spec.Tags.Get(op.Tags[0]) == nil {
			t.Errorf("%s: there is no id, summary or known tag", pattern)
		}
		tags[op.Tags[0]] = true
		want := []int{500}
		if op.RequestBody != nil {
			want = append(want, 400, 413, 415, 503)
		}
		if op.Security != nil {
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
	if len(tags) != len(c.routes["GET /me"].Spec.Tags) {
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
		"another's token":    {`"operationId": "live",`, `"operationId": "live", "security": [{"bearer": []}],`, "GET", "/livez", anonymous},
		"no body":            {`"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Me"}}}`, `"x-body": "none"`, "GET", "/me", ""},
	} {
		document := strings.ReplaceAll(string(web.OpenAPI), c.old, c.new)
		altered, err := newContract([]byte(document))
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
		x := exchange{request: r.Clone(t.Context()), sent: []byte(sent)}
		x.route, x.pattern = altered.route(r)
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		x.answer = answer{w.Code, w.Header(), w.Body.String()}
		if err := altered.check(x); err == nil || document == string(web.OpenAPI) {
			t.Errorf("%s: got %d %s, and nothing is found wrong with it", name, w.Code, w.Body)
		}
	}
}

// TestCodesAreOneSet: those in the source, in the document and in docs/api.md.
func TestCodesAreOneSet(t *testing.T) {
	c, err := ours()
	if err != nil {
		t.Fatal(err)
	}
	var inDocument []string
	for _, code := range c.nowhere.Spec.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
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
