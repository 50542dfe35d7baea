// Package contract holds what is sent to the service, and what it answers, against
// its OpenAPI document. It is for tests.
package contract

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// A Contract is an OpenAPI document to hold exchanges against.
type Contract struct {
	Document *openapi3.T

	mux    *http.ServeMux            // finds the pattern of a request
	routes map[string]*routers.Route // by pattern, "POST /login"
	// nowhere is what paths and methods answer that the document does not have.
	nowhere *routers.Route
	// good holds what was found good. The library compiles a schema anew for each
	// use, which is too slow for ten thousand bodies.
	good sync.Map
}

// Service is the contract of the document that is served.
var Service = sync.OnceValues(func() (*Contract, error) { return New(web.OpenAPI) })

// New reads a document.
func New(document []byte) (*Contract, error) {
	doc, err := load(document)
	if err != nil {
		return nil, err
	}
	c := &Contract{Document: doc, mux: http.NewServeMux(), routes: make(map[string]*routers.Route)}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			c.routes[method+" "+path] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			c.mux.Handle(method+" "+path, http.NotFoundHandler())
		}
	}
	outside := openapi3.NewResponses(
		openapi3.WithStatus(http.StatusNotFound, doc.Components.Responses["NotFound"]),
		openapi3.WithStatus(http.StatusMethodNotAllowed, doc.Components.Responses["MethodNotAllowed"]),
	)
	c.nowhere = &routers.Route{Spec: doc, PathItem: &openapi3.PathItem{}, Operation: &openapi3.Operation{Responses: outside, Security: openapi3.NewSecurityRequirements()}}
	return c, nil
}

// load reads the document with answers closed: clients must bear members that they
// do not know, but a server that sends some is not as described.
func load(document []byte) (*openapi3.T, error) {
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

// Describes reports whether the document has the method and path of the request.
func (c *Contract) Describes(r *http.Request) bool {
	route, _ := c.route(r)
	return route != c.nowhere
}

// route returns what the document says of the request.
func (c *Contract) route(r *http.Request) (*routers.Route, string) {
	if r.URL.RawPath != "" || r.URL.Path != path.Clean(r.URL.Path) {
		return c.nowhere, ""
	}
	_, pattern := c.mux.Handler(r)
	return cmp.Or(c.routes[pattern], c.nowhere), pattern
}

// An Exchange is a request and its answer.
type Exchange struct {
	Request *http.Request // its Body is not looked at
	Sent    []byte
	Status  int
	Header  http.Header
	Body    string
}

// exchange is one whose place in the document is known.
type exchange struct {
	Exchange
	route   *routers.Route
	pattern string
}

// Check says in what the exchange is not as the document has it.
func (c *Contract) Check(e Exchange) error {
	x := exchange{Exchange: e}
	x.route, x.pattern = c.route(x.Request)
	if x.Request.Method == http.MethodOptions && x.Status == http.StatusNoContent && x.Header.Get("Access-Control-Allow-Methods") != "" {
		return nil // a preflight is the browser's, not the client's
	}
	if err := c.once(x.answerKey(), func() error { return checkAnswer(x) }); err != nil {
		return fmt.Errorf("%d %v %.300s: %w", x.Status, x.Header, x.Body, err)
	}
	if x.Status/100 != 2 {
		return nil
	}
	if err := c.once(x.requestKey(), func() error { return checkRequest(x) }); err != nil {
		return fmt.Errorf("the request is answered with %d, but is not as described: %w", x.Status, err)
	}
	return nil
}

func (c *Contract) once(key string, check func() error) error {
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

var (
	// position is where a body broke: there are as many as there are bytes.
	position = regexp.MustCompile(`at byte [0-9]+`)
	// opaque is what may be an id or part of a token, none of which comes twice; words
	// are not (see kind).
	opaque = regexp.MustCompile(`[A-Za-z0-9_-]{20,}`)
	digit  = regexp.MustCompile(opaque.String() + `|[0-9]`)
)

// kind says as much of opaque text as a pattern can ask for: its length, and of
// what it is made. A digit is a digit.
func kind(text string) string {
	if len(text) == 1 {
		return "0"
	}
	if text == strings.ToLower(text) && !strings.ContainsAny(text, "0123456789") {
		return text // a word, such as a code
	}
	made := [...]string{"a-z", "A-Z", "2-7", "0189", "_", "-"}
	of := [len(made)]bool{}
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z':
			of[0] = true
		case c >= 'A' && c <= 'Z':
			of[1] = true
		case c >= '2' && c <= '7': // as in base32
			of[2] = true
		case c >= '0' && c <= '9':
			of[3] = true
		case c == '_':
			of[4] = true
		default:
			of[5] = true
		}
	}
	key := fmt.Sprint(len(text))
	for i, is := range of {
		if is {
			key += " " + made[i]
		}
	}
	return key
}

// answerKey is equal for answers that differ only in their request id, in opaque
// text of the same kind and in where a body broke.
func (x exchange) answerKey() string {
	var key strings.Builder
	fmt.Fprintf(&key, "answer %s %p %d\n", x.pattern, x.route, x.Status)
	for _, name := range append([]string{"Content-Type", "Cache-Control"}, conditional...) {
		fmt.Fprintln(&key, x.Header.Values(name))
	}
	body := x.Body
	if id := x.Header.Get("X-Request-Id"); id != "" {
		fmt.Fprintln(&key, "with an id")
		body = strings.ReplaceAll(body, id, "id")
	}
	body = opaque.ReplaceAllStringFunc(body, kind)
	return key.String() + position.ReplaceAllString(body, "at a byte")
}

// requestKey is equal for requests that differ only in digits and in opaque text
// of the same kind.
func (x exchange) requestKey() string {
	sent := digit.ReplaceAllStringFunc(string(x.Sent), kind)
	return fmt.Sprintf("request %s\n%v %q %q\n%s", x.pattern, x.Request.Header.Get("Authorization") != "", x.Request.Header.Get("Content-Type"), x.Request.URL.RawQuery, sent)
}

func (x exchange) input() *openapi3filter.RequestValidationInput {
	r := x.Request.Clone(context.Background())
	r.Body = io.NopCloser(bytes.NewReader(x.Sent))
	if len(bytes.TrimSpace(x.Sent)) == 0 {
		r.Body = http.NoBody
	} else if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json") // which the document says in words only
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
	response := x.route.Operation.Responses.Status(x.Status)
	if response == nil {
		return errors.New("the document does not have this status")
	}
	if x.Request.Method == http.MethodHead && x.Body == "" { // as a client sees it: the header of GET alone
		return nil
	}
	if err := checkForm(x, response.Value); err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: x.Status, Header: x.Header, Options: in.Options,
		Body: io.NopCloser(strings.NewReader(x.Body)),
	})
}

// checkForm looks at what the library does not: a body where none is described,
// header fields that are not described, members that stand twice, and codes that
// the description does not name.
func checkForm(x exchange, response *openapi3.Response) error {
	if len(response.Content) == 0 && (x.Body != "" || x.Header.Get("Content-Type") != "") {
		return errors.New("the document does not have a body here")
	}
	for _, name := range conditional {
		described := slices.ContainsFunc(slices.Collect(maps.Keys(response.Headers)), func(n string) bool { return strings.EqualFold(n, name) })
		if x.Header.Get(name) != "" && !described {
			return fmt.Errorf("the document does not have the header %s here", name)
		}
	}
	media, _, _ := strings.Cut(x.Header.Get("Content-Type"), ";")
	if strings.HasSuffix(media, "json") && x.Body != "" {
		if err := strictjson.Object(x.Body, func(string, strictjson.Value) error { return nil }); err != nil {
			return err
		}
	}
	switch {
	case media == "text/html":
		if !strings.HasPrefix(x.Body, "<!doctype html>") {
			return errors.New("the body is no page")
		}
	case media == "application/problem+json":
		var p struct {
			Code   string
			Status int
		}
		if err := json.Unmarshal([]byte(x.Body), &p); err != nil {
			return err
		}
		if p.Status != x.Status || !strings.Contains(*response.Description, "`"+p.Code+"`") {
			return fmt.Errorf("the description %q does not name %s, or the body has the status %d", *response.Description, p.Code, p.Status)
		}
	case x.Status/100 != 2:
		return errors.New("the error is no problem")
	}
	return nil
}

// Handler holds every request to the handler, and its answer, against the
// document, and reports what is not as it says.
func (c *Contract) Handler(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := Exchange{Request: r.Clone(r.Context())} // as it came: the handler may change it
		var sent, answered bytes.Buffer
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &sent), r.Body}
		tee := &teeWriter{ResponseWriter: w, body: &answered}
		next.ServeHTTP(tee, r)
		x.Sent, x.Status, x.Header, x.Body = sent.Bytes(), tee.status, w.Header(), answered.String()
		if err := c.Check(x); err != nil {
			report(&Fault{x, err})
		}
	})
}

// A Fault is an exchange that is not as the document says.
type Fault struct {
	Exchange
	Err error
}

func (f *Fault) Error() string {
	return fmt.Sprintf("%s %s %.200q: %v", f.Request.Method, f.Request.URL.Path, f.Sent, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

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

// Client has a client's requests, and the answers to them, held against the
// document before it sees them: what is not as the document says is a *Fault.
func (c *Contract) Client(next http.RoundTripper) http.RoundTripper { return client{c, next} }

type client struct {
	contract *Contract
	next     http.RoundTripper
}

func (c client) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := readAll(r.Body)
	if err != nil {
		return nil, err
	}
	own := r.Clone(r.Context())
	if own.Body != nil {
		own.Body = io.NopCloser(bytes.NewReader(sent))
	}
	res, err := c.next.RoundTrip(own)
	if err != nil {
		return nil, err
	}
	body, err := readAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	e := Exchange{Request: r, Sent: sent, Status: res.StatusCode, Header: res.Header, Body: string(body)}
	if err := c.contract.Check(e); err != nil {
		return nil, &Fault{e, err}
	}
	return res, nil
}

func readAll(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer body.Close()
	return io.ReadAll(body)
}

func init() {
	openapi3filter.RegisterBodyDecoder("application/jwk-set+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
}
