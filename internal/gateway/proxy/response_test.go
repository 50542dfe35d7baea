package proxy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
)

func TestParseResponse(t *testing.T) {
	tests := map[string]struct {
		doc    string
		status int
		header http.Header
		body   string
	}{
		"a status alone":       {`{"statusCode":204}`, 204, http.Header{}, ""},
		"a status in quotes":   {`{"statusCode":"200","body":"a"}`, 200, http.Header{}, "a"},
		"a null body":          {`{"statusCode":200,"body":null}`, 200, http.Header{}, ""},
		"scalar headers":       {`{"statusCode":200,"headers":{"A":"x","B":true,"C":7,"D":1.5},"body":""}`, 200, http.Header{"A": {"x"}, "B": {"true"}, "C": {"7"}, "D": {"1.5"}}, ""},
		"several values":       {`{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]}}`, 200, http.Header{"Set-Cookie": {"a=1", "b=2"}}, ""},
		"several values win":   {`{"statusCode":200,"headers":{"Set-Cookie":"b=2"},"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]}}`, 200, http.Header{"Set-Cookie": {"a=1", "b=2"}}, ""},
		"cookies by spelling":  {`{"statusCode":200,"headers":{"set-cookie":"b=2","Set-Cookie":"a=1"}}`, 200, http.Header{"Set-Cookie": {"a=1", "b=2"}}, ""},
		"a base64 body":        {`{"statusCode":200,"body":"/wA=","isBase64Encoded":true}`, 200, http.Header{}, "\xff\x00"},
		"base64 that is text":  {`{"statusCode":200,"body":"/wA=","isBase64Encoded":false}`, 200, http.Header{}, "/wA="},
		"members it may carry": {`{"statusCode":200,"cookies":[],"x":{}}`, 200, http.Header{}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, header, body, err := proxy.ParseResponse([]byte(test.doc))
			if err != nil {
				t.Fatal(err)
			}
			if status != test.status || string(body) != test.body {
				t.Errorf("%d %q, want %d %q", status, body, test.status, test.body)
			}
			if diff := cmp.Diff(test.header, header); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseResponseRefuses(t *testing.T) {
	tests := map[string]string{
		"nothing":                  ``,
		"null":                     `null`,
		"text":                     `"ok"`,
		"a list":                   `[]`,
		"half an object":           `{"statusCode":200`,
		"no status":                `{"body":"ok"}`,
		"a null status":            `{"statusCode":null,"body":"ok"}`,
		"a fraction of a status":   `{"statusCode":200.5}`,
		"a word for a status":      `{"statusCode":"OK"}`,
		"an interim status":        `{"statusCode":101}`,
		"a status beyond":          `{"statusCode":600}`,
		"a negative status":        `{"statusCode":-200}`,
		"an object for a body":     `{"statusCode":200,"body":{"a":1}}`,
		"a number for a body":      `{"statusCode":200,"body":7}`,
		"a body in no base64":      `{"statusCode":200,"body":"~","isBase64Encoded":true}`,
		"a nested header":          `{"statusCode":200,"headers":{"A":{"b":"c"}}}`,
		"a list in headers":        `{"statusCode":200,"headers":{"A":["b"]}}`,
		"a null header":            `{"statusCode":200,"headers":{"A":null}}`,
		"one text for several":     `{"statusCode":200,"multiValueHeaders":{"A":"b"}}`,
		"a nested one of several":  `{"statusCode":200,"multiValueHeaders":{"A":[["b"]]}}`,
		"a text for all headers":   `{"statusCode":200,"headers":"A: b"}`,
		"a text for isBase64":      `{"statusCode":200,"isBase64Encoded":"true"}`,
		"an error of the function": `{"errorMessage":"boom","errorType":"Error"}`,
	}
	for name, doc := range tests {
		t.Run(name, func(t *testing.T) {
			if status, _, _, err := proxy.ParseResponse([]byte(doc)); !errors.Is(err, proxy.ErrMalformed) {
				t.Errorf("status %d, error %v, want ErrMalformed", status, err)
			}
		})
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"A":"b"},"multiValueHeaders":{"C":["d",1,true]},"body":"/wA=","isBase64Encoded":true}`))
	f.Add([]byte(`{"statusCode":"204","body":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		status, header, body, err := proxy.ParseResponse(doc)
		if err != nil {
			if !errors.Is(err, proxy.ErrMalformed) {
				t.Errorf("%s: error %v is not ErrMalformed", doc, err)
			}
			return
		}
		// A handler that answers so is read again as the same answer.
		h := proxy.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, values := range header {
				w.Header()[name] = values
			}
			w.WriteHeader(status)
			w.Write(body)
		}), login)
		out, err := h(t.Context(), []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		status2, header2, body2, err := proxy.ParseResponse(out)
		if err != nil || status2 != status || !cmp.Equal(header2, header) || string(body2) != string(body) {
			t.Errorf("%s became %s (%v)", doc, out, err)
		}
	})
}

func handle(t *testing.T, h http.HandlerFunc, event string) proxy.Response {
	t.Helper()
	out, err := proxy.Handler(h, login)(t.Context(), []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	var r proxy.Response
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHandler(t *testing.T) {
	tests := map[string]struct {
		h    http.HandlerFunc
		want proxy.Response
	}{
		"two cookies": {
			func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
				http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(http.StatusCreated)
				io.WriteString(w, r.Method+" ")
				io.Copy(w, r.Body)
			},
			proxy.Response{StatusCode: 201, Body: "POST hi", Headers: map[string]string{"Content-Type": "text/plain"},
				MultiValueHeaders: map[string][]string{"Set-Cookie": {"a=1", "b=2"}}},
		},
		"nothing":       {func(http.ResponseWriter, *http.Request) {}, proxy.Response{StatusCode: 200}},
		"a binary body": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{0xff, 0}) }, proxy.Response{StatusCode: 200, Body: "/wA=", IsBase64Encoded: true}},
		"headers after the status are too late": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(404)
				w.Header().Set("X-Late", "1")
				w.WriteHeader(500)
			},
			proxy.Response{StatusCode: 404},
		},
		"an early hint is not the answer": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusAccepted)
			},
			proxy.Response{StatusCode: 202},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, handle(t, test.h, `{"body":"hi"}`)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestHandlerServesAMux(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.PathValue("id")+" "+r.FormValue("q")+" "+r.Host+" "+proxy.RequestID(r.Context()))
	})
	r := handle(t, mux.ServeHTTP, `{"httpMethod":"GET","path":"/orders/a%20b","queryStringParameters":{"q":"1"},
		"headers":{"Host":"api.example.com"},"requestContext":{"requestId":"id-1"}}`)
	if r.StatusCode != 200 || r.Body != "a b 1 api.example.com id-1" {
		t.Errorf("%d %q", r.StatusCode, r.Body)
	}
	if r := handle(t, mux.ServeHTTP, `{"httpMethod":"DELETE","path":"/orders/7"}`); r.StatusCode != 405 {
		t.Errorf("DELETE: %d, want 405", r.StatusCode)
	}
}

func TestHandlerFailsOnWhatIsNoRequest(t *testing.T) {
	h := proxy.Handler(http.NotFoundHandler(), proxy.Config{})
	out, err := h(t.Context(), []byte(`{"body":"hi"}`))
	if err == nil || !strings.Contains(err.Error(), "do not make a request") {
		t.Errorf("answer %s, error %v", out, err)
	}
	if got := proxy.RequestID(t.Context()); got != "" {
		t.Errorf("outside of a request the id is %q", got)
	}
}

// TestMalformedRequestsAreTheClientsFault: they are answered in the shape of their
// event, and are no errors of the function.
func TestMalformedRequestsAreTheClientsFault(t *testing.T) {
	const body = `{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid_request","detail":"The method, path or query of the request is malformed."}` + "\n"
	header := map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Request-Id": "r-1"}
	multi := make(map[string][]string)
	for name, value := range header {
		multi[name] = []string{value}
	}
	events := map[string]struct {
		event string // with verbs for method, path and body
		want  proxy.Response
	}{
		"a REST API":      {`{"resource":"/{p+}","httpMethod":%q,"path":%q,"requestContext":{"stage":"dev","requestId":"r-1"},"body":%q,"isBase64Encoded":true}`, proxy.Response{StatusCode: 400, Headers: header, Body: body}},
		"an HTTP API":     {`{"version":"2.0","requestContext":{"requestId":"r-1","http":{"method":%q}},"rawPath":%q,"body":%q,"isBase64Encoded":true}`, proxy.Response{StatusCode: 400, Headers: header, Body: body}},
		"a load balancer": {`{"requestContext":{"elb":{}},"headers":{"host":"lb.example.com"},"httpMethod":%q,"path":%q,"body":%q,"isBase64Encoded":true}`, proxy.Response{StatusCode: 400, StatusDescription: "400 Bad Request", Headers: header, Body: body}},
		"a load balancer with several values": {`{"requestContext":{"elb":{}},"multiValueHeaders":{"host":["lb.example.com"]},"httpMethod":%q,"path":%q,"body":%q,"isBase64Encoded":true}`,
			proxy.Response{StatusCode: 400, StatusDescription: "400 Bad Request", MultiValueHeaders: multi, Body: body}},
	}
	ctx := gateway.WithInvocation(t.Context(), gateway.Invocation{RequestID: "r-1"})
	h := proxy.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") }), login)
	for name, test := range events {
		for _, line := range [][2]string{{"GET", "/100%"}, {"GET", "/%zz"}, {"GET", "/a\n"}, {"GET", "/a\tb"}, {"OPTIONS", "*"}, {"GET", "http://evil.example/"}, {"GET /x", "/a"}} {
			out, err := h(ctx, fmt.Appendf(nil, test.event, line[0], line[1], "aGk="))
			if err != nil {
				t.Errorf("%s: %q: %v", name, line, err)
				continue
			}
			var got proxy.Response
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s: %q: -want +got:\n%s", name, line, diff)
			}
			// A body that is not what the gateway says of it is the gateway's fault.
			if out, err := h(ctx, fmt.Appendf(nil, test.event, line[0], line[1], "~")); err == nil {
				t.Errorf("%s: a body that is not base64 is answered: %s", name, out)
			}
		}
	}
	var log bytes.Buffer
	h = proxy.Handler(http.NotFoundHandler(), proxy.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	out, err := h(ctx, []byte(strings.Replace(httpAPIEvent, `"a=1&a=2"`, `"ticket=s3cret\n"`, 1)))
	if err != nil || !strings.Contains(string(out), `"statusCode":400`) {
		t.Errorf("a control character in the query: %s, %v", out, err)
	}
	if line := log.String(); !strings.Contains(line, "malformed request") || !strings.Contains(line, "invalid control character") || strings.Contains(line, "s3cret") {
		t.Errorf("the log is %q", line)
	}
}
