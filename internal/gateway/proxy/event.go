// Package proxy translates between HTTP and the Lambda payloads that stand for
// requests. The local gateway makes events of format 1.0, as REST APIs do;
// Handler lets an http.Handler answer the events of REST APIs, HTTP APIs, function
// URLs and load balancers, each in the shape in which it was asked.
package proxy

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/gateway"
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

// An AuthorizerEvent is the input of a REST API's authorizer of type REQUEST: a request
// without its body.
type AuthorizerEvent struct {
	Type      string `json:"type"`
	MethodARN string `json:"methodArn"`
	Event
	Body            *string `json:"body,omitempty"`
	IsBase64Encoded bool    `json:"isBase64Encoded,omitempty"`
}

// NewAuthorizerEvent makes the event that asks about a request.
func NewAuthorizerEvent(r *http.Request, asked gateway.ARN, s Setting) AuthorizerEvent {
	return AuthorizerEvent{Type: string(gateway.KindRequest), MethodARN: asked.String(), Event: NewEvent(r, nil, s)}
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
