package proxy_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
)

// login is the default request of the tests.
var login = proxy.Config{Default: proxy.Default{Method: "POST", Path: "/login"}}

func parse(t *testing.T, event string) *http.Request {
	t.Helper()
	r, err := proxy.ParseRequest(t.Context(), []byte(event), login)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func content(t *testing.T, r *http.Request) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNewEvent(t *testing.T) {
	r := httptest.NewRequest("PUT", "https://api.example.com:8443/orders/a%20b?x=1&x=2&empty=&y=%26", strings.NewReader(""))
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header = http.Header{"Accept": {"text/html", "text/plain"}, "User-Agent": {"browser"}, "Cookie": {"a=1; b=2"}}
	e := proxy.NewEvent(r, []byte("text é"), proxy.Setting{
		AccountID: "123456789012", APIID: "api", Stage: "dev", RequestID: "id-1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.FixedZone("", 3600)), Resource: "/orders/{id}",
		PathParameters: map[string]string{"id": "a%20b"}, Authorizer: map[string]any{"sub": "s", "none": nil},
	})
	body := "text é"
	want := proxy.Event{
		Resource: "/orders/{id}", Path: "/orders/a%20b", HTTPMethod: "PUT",
		Headers:                         map[string]string{"Accept": "text/plain", "User-Agent": "browser", "Cookie": "a=1; b=2", "Host": "api.example.com:8443"},
		MultiValueHeaders:               map[string][]string{"Accept": {"text/html", "text/plain"}, "User-Agent": {"browser"}, "Cookie": {"a=1; b=2"}, "Host": {"api.example.com:8443"}},
		QueryStringParameters:           map[string]string{"x": "2", "empty": "", "y": "&"},
		MultiValueQueryStringParameters: map[string][]string{"x": {"1", "2"}, "empty": {""}, "y": {"&"}},
		PathParameters:                  map[string]string{"id": "a b"},
		Body:                            &body,
		RequestContext: proxy.RequestContext{
			AccountID: "123456789012", APIID: "api", Authorizer: map[string]any{"sub": "s", "none": nil},
			DomainName: "api.example.com", DomainPrefix: "api", ExtendedRequestID: "id-1", HTTPMethod: "PUT",
			Identity: proxy.Identity{SourceIP: "192.0.2.7", UserAgent: "browser"},
			Path:     "/dev/orders/a%20b", Protocol: "HTTP/1.1", RequestID: "id-1",
			RequestTime: "02/Jan/2026:02:04:05 +0000", RequestTimeEpoch: 1767319445678,
			ResourceID: "local", ResourcePath: "/orders/{id}", Stage: "dev",
		},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, ok := r.Header["Host"]; ok {
		t.Error("the request's own headers were changed")
	}
}

// API Gateway sends null, not {}, and handlers were written against that.
func TestNewEventIsNullWhereThereIsNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	doc, err := json.Marshal(proxy.NewEvent(r, nil, proxy.Setting{PathParameters: map[string]string{}}))
	if err != nil {
		t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(doc, &e); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"} {
		if v, ok := e[name]; !ok || v != nil {
			t.Errorf("%s is %v, want null", name, v)
		}
	}
	if v, ok := e["requestContext"].(map[string]any)["authorizer"]; ok {
		t.Errorf("on a public route authorizer is %v, want nothing", v)
	}
}

func TestRequestSurvivesTheEvent(t *testing.T) {
	tests := map[string]struct {
		method, target, body string
		header               http.Header
	}{
		"nothing but a path":            {"GET", "/", "", nil},
		"headers with several values":   {"GET", "/a", "", http.Header{"Accept": {"text/html", "text/plain"}, "X-Empty": {""}}},
		"cookies":                       {"GET", "/a", "", http.Header{"Cookie": {"a=1; b=2", "c=3"}}},
		"repeated query parameters":     {"GET", "/a?x=1&x=2&x=1", "", nil},
		"empty query values":            {"GET", "/a?x=&y=1&x=", "", nil},
		"an escaped query":              {"GET", "/a?q=a%26b%3Dc+d%25&%C3%A9=%C3%A9", "", nil},
		"an escaped path":               {"GET", "/a%20b/caf%C3%A9/100%25", "", nil},
		"a text body":                   {"POST", "/a", `{"é":"\u0000"}`, http.Header{"Content-Type": {"application/json"}}},
		"a binary body":                 {"POST", "/a", "\xff\x00\x01\xfe", nil},
		"a body that looks like base64": {"POST", "/a", "aGVsbG8=", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := httptest.NewRequest(test.method, test.target, nil)
			want.RemoteAddr = "[2001:db8::7]:4711"
			for name, values := range test.header {
				want.Header[name] = values
			}
			event, err := json.Marshal(proxy.NewEvent(want, []byte(test.body), proxy.Setting{RequestID: "id-1", Stage: "dev"}))
			if err != nil {
				t.Fatal(err)
			}
			got := parse(t, string(event))
			if got.Method != test.method || got.URL.EscapedPath() != want.URL.EscapedPath() || got.Host != want.Host {
				t.Errorf("%s %s at %s, want %s %s at %s", got.Method, got.URL, got.Host, test.method, test.target, want.Host)
			}
			if diff := cmp.Diff(want.URL.Query(), got.URL.Query()); diff != "" {
				t.Errorf("query: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(want.Header, got.Header); diff != "" {
				t.Errorf("header: -want +got:\n%s", diff)
			}
			if body := content(t, got); body != test.body || got.ContentLength != int64(len(test.body)) {
				t.Errorf("body %q of length %d, want %q", body, got.ContentLength, test.body)
			}
			if got.RemoteAddr != "[2001:db8::7]:0" {
				t.Errorf("from %s, want the client's address", got.RemoteAddr)
			}
			if id := proxy.RequestID(got.Context()); id != "id-1" {
				t.Errorf("request id %q, want id-1", id)
			}
		})
	}
}

// Events written by hand for the system before this one leave almost all out.
func TestOldMocksAreTheDefaultRequest(t *testing.T) {
	const body = `{"username":"u"}`
	tests := map[string]string{
		"a body alone":      `{"body":"{\"username\":\"u\"}"}`,
		"headers as a text": `{"headers":"{\"Content-Type\":\"application/json\"}","body":"{\"username\":\"u\"}"}`,
		"nulls": `{"headers":null,"multiValueHeaders":null,"queryStringParameters":null,"multiValueQueryStringParameters":null,
			"pathParameters":null,"requestContext":null,"httpMethod":null,"path":null,"body":"{\"username\":\"u\"}"}`,
		"unknown members": `{"resource":7,"user":"u","body":"{\"username\":\"u\"}"}`,
	}
	for name, event := range tests {
		t.Run(name, func(t *testing.T) {
			r := parse(t, event)
			if r.Method != "POST" || r.URL.String() != "/login" || len(r.Header) != 0 {
				t.Errorf("%s %s with headers %v, want POST /login without", r.Method, r.URL, r.Header)
			}
			if got := content(t, r); got != body {
				t.Errorf("body %q, want %q", got, body)
			}
		})
	}
	if r := parse(t, `{}`); content(t, r) != "" {
		t.Error("an empty event has a body")
	}
}

func TestParseRequestHeaders(t *testing.T) {
	tests := map[string]struct {
		headers, multi string
		want           http.Header
	}{
		"single values alone":     {`{"accept":"a"}`, `null`, http.Header{"Accept": {"a"}}},
		"several values win":      {`{"Accept":"b"}`, `{"Accept":["a","b"]}`, http.Header{"Accept": {"a", "b"}}},
		"both are merged":         {`{"A":"1"}`, `{"B":["2"]}`, http.Header{"A": {"1"}, "B": {"2"}}},
		"an empty list is no win": {`{"A":"1"}`, `{"A":[]}`, http.Header{"A": {"1"}}},
		// A reader of the first value must not miss that there is a second.
		"two spellings are two values":        {`{"authorization":"b","Authorization":"a"}`, `{"authorization":["b"],"Authorization":["a"]}`, http.Header{"Authorization": {"a", "b"}}},
		"two spellings of single values":      {`{"authorization":"b","AUTHORIZATION":"a"}`, `null`, http.Header{"Authorization": {"a", "b"}}},
		"one spelling in each":                {`{"authorization":"b"}`, `{"Authorization":["a"]}`, http.Header{"Authorization": {"a"}}},
		"the length is of what was sent":      {`{"Content-Length":"999"}`, `{"content-length":["999"]}`, http.Header{}},
		"a list where a text must be is none": {`{"A":["1"]}`, `{"B":["2"]}`, http.Header{"B": {"2"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 20 { // maps have another order each time
				r := parse(t, `{"httpMethod":"GET","path":"/","headers":`+test.headers+`,"multiValueHeaders":`+test.multi+`}`)
				if diff := cmp.Diff(test.want, r.Header); diff != "" {
					t.Fatalf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// The path of the event, by which routes are found, is the path that the handler sees.
func TestParseRequestKeepsThePath(t *testing.T) {
	for _, path := range []string{"//admin/x", "//user@host/x", "/a#b", "/a//b", "/a/../b", "/a:b", "/a;b", "/http://x/"} {
		r := parse(t, `{"httpMethod":"GET","path":"`+path+`"}`)
		if r.URL.Path != path || r.URL.Host != "" || r.URL.User != nil {
			t.Errorf("%s became %+v", path, r.URL)
		}
		if r.RequestURI != path {
			t.Errorf("%s has the request URI %s", path, r.RequestURI)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	tests := map[string]struct{ event, says string }{
		"nothing":                {``, "parsing proxy event"},
		"null":                   {`null`, "it is null"},
		"a version alone":        {`{"version":"1.0","body":"{}"}`, "neither requestContext.http nor httpMethod"},
		"a resource alone":       {`{"resource":"/login","body":"{}"}`, "neither requestContext.http nor httpMethod"},
		"a raw path alone":       {`{"rawPath":"/login","body":"{}"}`, "neither requestContext.http nor httpMethod"},
		"a route key alone":      {`{"routeKey":"$default","body":"{}"}`, "neither requestContext.http nor httpMethod"},
		"a context alone":        {`{"requestContext":{"stage":"dev"},"body":"{}"}`, "neither requestContext.http nor httpMethod"},
		"a 2.0 without a path":   {`{"version":"2.0","requestContext":{"http":{"method":"GET"}}}`, "do not make a request"},
		"a 2.0 without a method": {`{"version":"2.0","rawPath":"/","requestContext":{"http":{}}}`, "do not make a request"},
		"a 2.0 of wrong types":   {`{"version":"2.0","rawPath":7,"requestContext":{"http":{"method":"GET"}}}`, "parsing proxy event"},
		"a balancer's path":      {`{"httpMethod":"GET","path":"","requestContext":{"elb":{}}}`, "do not make a request"},
		"text":                   {`"GET /"`, "parsing proxy event"},
		"a list":                 {`[]`, "parsing proxy event"},
		"a path without verb":    {`{"path":"/a"}`, "do not make a request"},
		"a verb without path":    {`{"httpMethod":"GET"}`, "do not make a request"},
		"a relative path":        {`{"httpMethod":"GET","path":"a"}`, "do not make a request"},
		"an absolute URL":        {`{"httpMethod":"GET","path":"http://evil.example/"}`, "do not make a request"},
		"a verb with a space":    {`{"httpMethod":"GET /b","path":"/a"}`, "invalid method"},
		"a line end in the path": {`{"httpMethod":"GET","path":"/a\r\nX: y"}`, "parsing proxy event"},
		"a broken escape":        {`{"httpMethod":"GET","path":"/a%zz"}`, "invalid URL escape"},
		"a body that is no text": {`{"body":{"username":"u"}}`, "parsing proxy event"},
		"a query that is a text": {`{"queryStringParameters":"a=b"}`, "parsing proxy event"},
		"a body in no base64":    {`{"body":"~","isBase64Encoded":true}`, "not base64"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := proxy.ParseRequest(t.Context(), []byte(test.event), login)
			if err == nil {
				t.Fatalf("taken as %s %s", r.Method, r.URL)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"httpMethod":"GET","path":"/a","headers":{"Host":"h"},"multiValueHeaders":{"A":["1","2"]},"queryStringParameters":{"a":"b"}}`))
	f.Add([]byte(`{"body":"aGk=","isBase64Encoded":true,"requestContext":{"identity":{"sourceIp":"::1"}}}`))
	f.Add([]byte(`{"headers":"x","body":null}`))
	f.Add([]byte(functionURLEvent))
	f.Add([]byte(httpAPIEvent))
	f.Add([]byte(balancerEvent("headers")))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := proxy.ParseRequest(t.Context(), doc, login)
		if err != nil {
			return
		}
		if r.URL.Host != "" || !strings.HasPrefix(r.URL.Path, "/") {
			t.Errorf("%s became a request to %q %q", doc, r.URL.Host, r.URL.Path)
		}
		body := content(t, r)
		event, err := json.Marshal(proxy.NewEvent(r, []byte(body), proxy.Setting{}))
		if err != nil {
			t.Fatal(err)
		}
		again, err := proxy.ParseRequest(t.Context(), event, proxy.Config{})
		if err != nil {
			t.Fatalf("%s: its own event is refused: %v", doc, err)
		}
		if r.Method != again.Method || r.URL.EscapedPath() != again.URL.EscapedPath() || !sameQuery(r.URL, again.URL) || content(t, again) != body {
			t.Errorf("%s: %s %s became %s %s", doc, r.Method, r.URL, again.Method, again.URL)
		}
	})
}

func sameQuery(a, b *url.URL) bool { return cmp.Equal(a.Query(), b.Query()) }
