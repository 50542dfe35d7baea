// Package proxy translates between HTTP and the Lambda proxy payload of REST
// APIs (format 1.0), in both directions: the local gateway makes events of
// requests, and Handler lets an http.Handler answer events.
package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// An Event is the input of a Lambda proxy integration. Maps without entries
// are null, as API Gateway sends them.
type Event struct {
	Resource                        string              `json:"resource"`
	Path                            string              `json:"path"`
	HTTPMethod                      string              `json:"httpMethod"`
	Headers                         map[string]string   `json:"headers"`
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters                  map[string]string   `json:"pathParameters"`
	StageVariables                  map[string]string   `json:"stageVariables"`
	RequestContext                  RequestContext      `json:"requestContext"`
	Body                            *string             `json:"body"`
	IsBase64Encoded                 bool                `json:"isBase64Encoded"`
}

// RequestContext is what API Gateway knows of a request.
type RequestContext struct {
	AccountID         string         `json:"accountId"`
	APIID             string         `json:"apiId"`
	Authorizer        map[string]any `json:"authorizer,omitempty"`
	DomainName        string         `json:"domainName"`
	DomainPrefix      string         `json:"domainPrefix"`
	ExtendedRequestID string         `json:"extendedRequestId"`
	HTTPMethod        string         `json:"httpMethod"`
	Identity          Identity       `json:"identity"`
	Path              string         `json:"path"`
	Protocol          string         `json:"protocol"`
	RequestID         string         `json:"requestId"`
	RequestTime       string         `json:"requestTime"`
	RequestTimeEpoch  int64          `json:"requestTimeEpoch"` // milliseconds
	ResourceID        string         `json:"resourceId"`
	ResourcePath      string         `json:"resourcePath"`
	Stage             string         `json:"stage"`
}

// Identity is the caller as the network shows it. The members for IAM and
// Cognito callers are null.
type Identity struct {
	AccessKey                     *string `json:"accessKey"`
	AccountID                     *string `json:"accountId"`
	Caller                        *string `json:"caller"`
	CognitoAuthenticationProvider *string `json:"cognitoAuthenticationProvider"`
	CognitoAuthenticationType     *string `json:"cognitoAuthenticationType"`
	CognitoIdentityID             *string `json:"cognitoIdentityId"`
	CognitoIdentityPoolID         *string `json:"cognitoIdentityPoolId"`
	PrincipalOrgID                *string `json:"principalOrgId"`
	SourceIP                      string  `json:"sourceIp"`
	User                          *string `json:"user"`
	UserAgent                     string  `json:"userAgent"`
	UserARN                       *string `json:"userArn"`
}

// Setting is what an API adds to a request to make an event of it.
type Setting struct {
	AccountID, APIID, Stage string
	RequestID               string
	Time                    time.Time
	Resource                string            // the route's path pattern
	PathParameters          map[string]string // still escaped
	Authorizer              map[string]any    // nil on public routes
}

// clfTime is the common log format, which requestTime has.
const clfTime = "02/Jan/2006:15:04:05 -0700"

// NewEvent makes the event of a request whose body was read.
func NewEvent(r *http.Request, body []byte, s Setting) Event {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	prefix, _, _ := strings.Cut(host, ".")
	e := Event{
		Resource:   s.Resource,
		Path:       r.URL.EscapedPath(),
		HTTPMethod: r.Method,
		RequestContext: RequestContext{
			AccountID: s.AccountID, APIID: s.APIID, Authorizer: s.Authorizer,
			DomainName: host, DomainPrefix: prefix,
			ExtendedRequestID: s.RequestID, HTTPMethod: r.Method,
			Identity: Identity{SourceIP: peer(r), UserAgent: r.UserAgent()},
			Path:     "/" + s.Stage + r.URL.EscapedPath(), Protocol: r.Proto,
			RequestID: s.RequestID, RequestTime: s.Time.UTC().Format(clfTime), RequestTimeEpoch: s.Time.UnixMilli(),
			ResourceID: "local", ResourcePath: s.Resource, Stage: s.Stage,
		},
	}
	headers := r.Header.Clone()
	headers.Set("Host", r.Host)
	e.Headers, e.MultiValueHeaders = last(headers), headers
	e.QueryStringParameters, e.MultiValueQueryStringParameters = last(r.URL.Query()), emptyIsNil(r.URL.Query())
	for name, value := range s.PathParameters {
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		if e.PathParameters == nil {
			e.PathParameters = make(map[string]string)
		}
		e.PathParameters[name] = value
	}
	e.Body, e.IsBase64Encoded = encodeBody(body)
	return e
}

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// last keeps the last value of each name, as payload 1.0 does.
func last(values map[string][]string) map[string]string {
	var m map[string]string
	for name, vs := range values {
		if len(vs) == 0 {
			continue
		}
		if m == nil {
			m = make(map[string]string, len(values))
		}
		m[name] = vs[len(vs)-1]
	}
	return m
}

func emptyIsNil(values map[string][]string) map[string][]string {
	if len(values) == 0 {
		return nil
	}
	return values
}

func encodeBody(body []byte) (text *string, isBase64 bool) {
	if len(body) == 0 {
		return nil, false
	}
	s := string(body)
	if !utf8.Valid(body) {
		s, isBase64 = base64.StdEncoding.EncodeToString(body), true
	}
	return &s, isBase64
}

// looseEvent takes events written by hand too: everything may be left out, and
// what has the wrong type where nothing depends on it is passed over.
type looseEvent struct {
	Path                            string
	HTTPMethod                      string
	Headers                         json.RawMessage
	MultiValueHeaders               json.RawMessage
	QueryStringParameters           map[string]string
	MultiValueQueryStringParameters map[string][]string
	RequestContext                  struct {
		RequestID  string
		DomainName string
		Identity   struct{ SourceIP string }
	}
	Body            *string
	IsBase64Encoded bool
}

// Default is the request that an event without method and path stands for.
type Default struct{ Method, Path string }

// ParseRequest makes a request of an event.
func ParseRequest(ctx context.Context, doc []byte, d Default) (*http.Request, error) {
	var e looseEvent
	if err := json.Unmarshal(doc, &e); err != nil {
		return nil, fmt.Errorf("parsing proxy event: %w", err)
	}
	if e.HTTPMethod == "" && e.Path == "" {
		e.HTTPMethod, e.Path = d.Method, d.Path
	}
	if e.HTTPMethod == "" || !strings.HasPrefix(e.Path, "/") {
		return nil, fmt.Errorf("parsing proxy event: httpMethod %q and path %q do not make a request", e.HTTPMethod, e.Path)
	}
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	target := e.Path
	if q := e.query().Encode(); q != "" {
		target += "?" + q
	}
	// Not url.Parse: it would take the first part of "//admin/x" for a host.
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fmt.Errorf("parsing proxy event: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, e.HTTPMethod, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("parsing proxy event: %w", err)
	}
	r.URL, r.RequestURI = u, target
	r.Header = e.header()
	r.Host = r.Header.Get("Host")
	if r.Host == "" {
		r.Host = e.RequestContext.DomainName
	}
	r.Header.Del("Host")
	r.Header.Del("Content-Length") // of what the client sent, which may have been encoded
	if ip := e.RequestContext.Identity.SourceIP; ip != "" {
		r.RemoteAddr = net.JoinHostPort(ip, "0")
	}
	return r.WithContext(withRequestID(ctx, e.RequestContext.RequestID)), nil
}

func (e *looseEvent) body() ([]byte, error) {
	if e.Body == nil {
		return nil, nil
	}
	if !e.IsBase64Encoded {
		return []byte(*e.Body), nil
	}
	b, err := base64.StdEncoding.DecodeString(*e.Body)
	if err != nil {
		return nil, fmt.Errorf("parsing proxy event: body is not base64 though isBase64Encoded says so")
	}
	return b, nil
}

func (e *looseEvent) header() http.Header {
	var single map[string]string
	var multi map[string][]string
	if json.Unmarshal(e.Headers, &single) != nil {
		single = nil // a string in old mocks
	}
	if json.Unmarshal(e.MultiValueHeaders, &multi) != nil {
		multi = nil
	}
	return merge(single, multi)
}

// merge makes one header of both maps; where a name is in both, the multi-value
// one wins. The maps hold names in the case in which they were sent: all values
// of "Authorization" and "authorization" stay, in one order, so that whoever
// reads them sees that there are two.
func merge(single map[string]string, multi map[string][]string) http.Header {
	h := make(http.Header)
	for _, name := range slices.Sorted(maps.Keys(multi)) {
		for _, v := range multi[name] {
			h.Add(name, v)
		}
	}
	fromMulti := h.Clone()
	for _, name := range slices.Sorted(maps.Keys(single)) {
		if len(fromMulti.Values(name)) == 0 {
			h.Add(name, single[name])
		}
	}
	return h
}

func (e *looseEvent) query() url.Values {
	q := make(url.Values)
	for name, value := range e.QueryStringParameters {
		q.Set(name, value)
	}
	for name, values := range e.MultiValueQueryStringParameters {
		q[name] = values
	}
	return q
}

type requestIDKey struct{}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the gateway's id of the request that a handler behind
// Handler is answering, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
