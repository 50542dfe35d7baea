package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// Response is what a Lambda proxy integration returns.
type Response struct {
	StatusCode        int                 `json:"statusCode"`
	StatusDescription string              `json:"statusDescription,omitempty"` // load balancers
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Cookies           []string            `json:"cookies,omitempty"` // format 2.0
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// Handler makes a Lambda function of an http.Handler.
func Handler(h http.Handler, cfg Config) gateway.Function {
	var unknown sync.Once
	return func(ctx context.Context, event []byte) ([]byte, error) {
		in, err := cfg.parse(event)
		if err != nil {
			return nil, err
		}
		if in.sourceIP == "" && in.balanced && cfg.TrustedProxies == 0 && cfg.Log != nil {
			unknown.Do(func() {
				cfg.Log.Warn("a load balancer's event does not name the client: all clients share the limits of one; set LATCHKEY_TRUSTED_PROXIES to the number of proxies, of which the load balancer is one")
			})
		}
		w := &recorder{header: make(http.Header)}
		r, err := in.request(ctx)
		var malformed *malformedError
		switch {
		case errors.As(err, &malformed):
			if cfg.Log != nil {
				cfg.Log.Info("malformed request", "request_id", in.id(ctx), "status", http.StatusBadRequest, "error", malformed.cause())
			}
			w.badRequest(in.id(ctx))
		case err != nil:
			return nil, err
		default:
			h.ServeHTTP(w, r)
		}
		return json.Marshal(in.answer(w))
	}
}

// badRequest answers a request that cannot be handed to the handler. It is no error
// of the function: each URL of a stranger would raise its alarm.
func (w *recorder) badRequest(requestID string) {
	w.header.Set("Content-Type", "application/problem+json")
	w.header.Set("Cache-Control", "no-store")
	w.header.Set("X-Content-Type-Options", "nosniff")
	if requestID != "" {
		w.header.Set("X-Request-Id", requestID)
	}
	w.WriteHeader(http.StatusBadRequest)
	io.WriteString(w, `{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid_request","detail":"The method, path or query of the request is malformed."}`+"\n")
}

// recorder collects an answer.
type recorder struct {
	header http.Header
	status int
	sent   http.Header // the headers when the status was written
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // an early hint cannot be passed on
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// response is what all shapes of an answer share.
func (w *recorder) response() Response {
	w.WriteHeader(http.StatusOK)
	r := Response{StatusCode: w.status, Body: w.body.String()}
	if !utf8.Valid(w.body.Bytes()) {
		r.Body, r.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return r
}

// answerREST puts each name into one of the maps: AWS merges them, but some
// emulators send a name twice that is in both.
func (w *recorder) answerREST() Response {
	r := w.response()
	single, multi := make(map[string]string), make(map[string][]string)
	for name, values := range w.sent {
		if len(values) == 1 {
			single[name] = values[0]
		} else if len(values) > 1 {
			multi[name] = values
		}
	}
	r.Headers, r.MultiValueHeaders = single, multi
	return r
}

// answerHTTPAPI joins repeated headers, except Set-Cookie, which cannot be joined.
func (w *recorder) answerHTTPAPI() Response {
	r := w.response()
	header := w.sent.Clone()
	r.Cookies = header["Set-Cookie"]
	header.Del("Set-Cookie")
	r.Headers = joined(header)
	return r
}

// answerLoadBalancer joins repeated headers. Of several Set-Cookie it can send one
// only; with multi-value headers switched on the load balancer takes all.
func (w *recorder) answerLoadBalancer() Response {
	r := w.response()
	r.StatusDescription = statusDescription(r.StatusCode)
	r.Headers = joined(w.sent)
	if cookies := w.sent["Set-Cookie"]; len(cookies) > 1 {
		r.Headers["Set-Cookie"] = cookies[len(cookies)-1]
	}
	return r
}

func (w *recorder) answerLoadBalancerMulti() Response {
	r := w.response()
	r.StatusDescription, r.MultiValueHeaders = statusDescription(r.StatusCode), w.sent
	return r
}

func statusDescription(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// joined makes one value of each name's (RFC 9110 section 5.3).
func joined(h http.Header) map[string]string {
	m := make(map[string]string, len(h))
	for name, values := range h {
		if len(values) > 0 {
			m[name] = strings.Join(values, ", ")
		}
	}
	return m
}

// ErrMalformed: API Gateway answers 502 to such a response.
var ErrMalformed = errors.New("malformed Lambda proxy response")

// ParseResponse reads a function's answer as API Gateway does: an integer
// status, a string body, headers of scalar values.
func ParseResponse(doc []byte) (status int, header http.Header, body []byte, err error) {
	var r struct {
		StatusCode        json.RawMessage
		Headers           map[string]any
		MultiValueHeaders map[string][]any
		Body              *string
		IsBase64Encoded   bool
	}
	if err := json.Unmarshal(doc, &r); err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if status, err = strconv.Atoi(string(bytes.Trim(r.StatusCode, `"`))); err != nil || status < 200 || status > 599 {
		return 0, nil, nil, fmt.Errorf("%w: statusCode %s", ErrMalformed, r.StatusCode)
	}
	if header, err = parseHeaders(r.Headers, r.MultiValueHeaders); err != nil {
		return 0, nil, nil, err
	}
	if r.Body == nil {
		return status, header, nil, nil
	}
	body = []byte(*r.Body)
	if r.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(*r.Body); err != nil {
			return 0, nil, nil, fmt.Errorf("%w: body is not base64", ErrMalformed)
		}
	}
	return status, header, body, nil
}

func parseHeaders(single map[string]any, multi map[string][]any) (http.Header, error) {
	texts, lists := make(map[string]string), make(map[string][]string)
	for name, value := range single {
		text, err := scalar(name, value)
		if err != nil {
			return nil, err
		}
		texts[name] = text
	}
	for name, values := range multi {
		for _, value := range values {
			text, err := scalar(name, value)
			if err != nil {
				return nil, err
			}
			lists[name] = append(lists[name], text)
		}
	}
	return merge(texts, lists), nil
}

func scalar(name string, value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("%w: header %q is not a string, number or boolean", ErrMalformed, name)
}
