package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
)

const (
	functionURLEvent = `{"version":"2.0","routeKey":"$default","rawPath":"/me","rawQueryString":"","headers":{"content-type":"application/json","x-forwarded-for":"203.0.113.9"},
		"requestContext":{"accountId":"anonymous","apiId":"abc123","domainName":"abc123.lambda-url.eu-west-1.on.aws","http":{"method":"DELETE","path":"/me","protocol":"HTTP/1.1","sourceIp":"203.0.113.9","userAgent":"curl/8.5"},"requestId":"r-1","routeKey":"$default","stage":"$default","timeEpoch":1790000000000},
		"body":"{\"username\":\"francesco\",\"password\":\"password\"}","isBase64Encoded":false}`
	httpAPIEvent = `{"version":"2.0","routeKey":"GET /.well-known/jwks.json","rawPath":"/.well-known/jwks.json","rawQueryString":"a=1&a=2","cookies":["s=1","t=2"],
		"headers":{"accept":"*/*","host":"abc123.execute-api.eu-west-1.amazonaws.com","x-forwarded-for":"203.0.113.9"},"queryStringParameters":{"a":"1,2"},
		"requestContext":{"accountId":"123456789012","apiId":"abc123","domainName":"abc123.execute-api.eu-west-1.amazonaws.com","http":{"method":"GET","path":"/.well-known/jwks.json","protocol":"HTTP/1.1","sourceIp":"203.0.113.9","userAgent":"curl/8.5"},"requestId":"JKJaXmPLvHcESHA=","routeKey":"GET /.well-known/jwks.json","stage":"$default","timeEpoch":1790000000000},"isBase64Encoded":false}`
)

// balancerEvent is an event of an Application Load Balancer, with headers and
// query in one of its two shapes.
func balancerEvent(shape string) string {
	const head = `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/lambda/49e9d65c45c6791a"}},
		"httpMethod":"POST","path":"/login%20x","body":"hi","isBase64Encoded":false,`
	if shape == "headers" {
		return head + `"headers":{"host":"lb.example.com","x-forwarded-for":"198.51.100.1, 203.0.113.9","content-length":"2"},"queryStringParameters":{"q":"a%26b%3Dc+d","p%C3%A9":"100%2525"}}`
	}
	return head + `"multiValueHeaders":{"host":["lb.example.com"],"x-forwarded-for":["198.51.100.1, 203.0.113.9"],"accept":["a","b"]},"multiValueQueryStringParameters":{"q":["a%26b%3Dc+d","2"]}}`
}

func TestEventsOfFormat2(t *testing.T) {
	r := parse(t, functionURLEvent)
	if r.Method != "DELETE" || r.URL.String() != "/me" || r.Host != "abc123.lambda-url.eu-west-1.on.aws" || r.RemoteAddr != "203.0.113.9:0" || proxy.RequestID(r.Context()) != "r-1" {
		t.Errorf("%s %s at %s from %s with id %s", r.Method, r.URL, r.Host, r.RemoteAddr, proxy.RequestID(r.Context()))
	}
	if body := content(t, r); body != `{"username":"francesco","password":"password"}` {
		t.Errorf("body %q", body)
	}
	r = parse(t, httpAPIEvent)
	if r.Method != "GET" || r.RequestURI != "/.well-known/jwks.json?a=1&a=2" || r.Host != "abc123.execute-api.eu-west-1.amazonaws.com" || r.RemoteAddr != "203.0.113.9:0" {
		t.Errorf("%s %s at %s from %s", r.Method, r.RequestURI, r.Host, r.RemoteAddr)
	}
	if diff := cmp.Diff(url.Values{"a": {"1", "2"}}, r.URL.Query()); diff != "" {
		t.Errorf("query: -want +got:\n%s", diff)
	}
	want := http.Header{"Accept": {"*/*"}, "X-Forwarded-For": {"203.0.113.9"}, "Cookie": {"s=1; t=2"}}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Errorf("header: -want +got:\n%s", diff)
	}
	r = parse(t, `{"version":"2.0","rawPath":"/a","body":"/wA=","isBase64Encoded":true,"requestContext":{"http":{"method":"PUT"}}}`)
	if body := content(t, r); body != "\xff\x00" || r.RemoteAddr != "" {
		t.Errorf("body %q from %q", body, r.RemoteAddr)
	}
}

// What stands before the path that the handler knows.
func TestPathsAreThoseOfTheHandler(t *testing.T) {
	v2 := func(stage, path string) string {
		return fmt.Sprintf(`{"version":"2.0","routeKey":"$default","rawPath":%q,"requestContext":{"stage":%q,"http":{"method":"GET"}}}`, path, stage)
	}
	v1 := func(resource, path, more string) string {
		return fmt.Sprintf(`{"resource":%q,"path":%q,"httpMethod":"GET","requestContext":{"stage":"prod","path":%q}%s}`, resource, path, path, more)
	}
	tests := map[string]struct{ event, base, want string }{
		"2.0, the default stage":           {v2("$default", "/login"), "", "/login"},
		"2.0, a stage":                     {v2("prod", "/prod/login"), "", "/login"},
		"2.0, a stage alone":               {v2("prod", "/prod"), "", "/"},
		"2.0, a stage's beginning":         {v2("prod", "/production/login"), "", "/production/login"},
		"2.0, a custom domain":             {v2("prod", "/login"), "", "/login"},
		"2.0, a base path":                 {v2("$default", "/auth/login"), "/auth", "/login"},
		"2.0, a stage and a base path":     {v2("prod", "/prod/auth/login"), "/auth", "/login"},
		"2.0, not the base path":           {v2("$default", "/authlogin"), "/auth", "/authlogin"},
		"2.0, a path that is decoded":      {v2("$default", "/a b?c"), "", "/a b?c"},
		"1.0, the resource":                {v1("/login", "/login", ""), "", "/login"},
		"1.0, a base path":                 {v1("/login", "/auth/login", ""), "", "/login"},
		"1.0, a long base path":            {v1("/email/verify", "/v1/auth/email/verify", ""), "", "/email/verify"},
		"1.0, a base path before the root": {v1("/", "/auth", ""), "", "/"},
		"1.0, a base path, set":            {v1("/login", "/auth/login", ""), "/auth", "/login"},
		"1.0, a parameter":                 {v1("/sessions/{id}", "/auth/sessions/a%20b", `,"pathParameters":{"id":"a b"}`), "", "/sessions/a b"},
		"1.0, a catch-all":                 {v1("/{proxy+}", "/auth/me/sessions", `,"pathParameters":{"proxy":"me/sessions"}`), "", "/me/sessions"},
		"1.0, a catch-all without prefix":  {v1("/{proxy+}", "/me/sessions", `,"pathParameters":{"proxy":"me/sessions"}`), "", "/me/sessions"},
		"1.0, no parameters told":          {v1("/{proxy+}", "/auth/me", ""), "", "/auth/me"},
		"1.0, another resource":            {v1("/logout", "/auth/login", ""), "", "/auth/login"},
		"1.0, a part of the resource":      {v1("/login", "/relogin", ""), "", "/relogin"},
		"1.0 of an HTTP API, a stage":      {`{"version":"1.0",` + v1("/login", "/prod/login", "")[1:], "", "/login"},
		"1.0 of an HTTP API, $default":     {`{"version":"1.0",` + v1("$default", "/prod/login", "")[1:], "", "/login"},
		"a balancer":                       {balancerEvent("headers"), "", "/login x"},
		"by hand":                          {`{"httpMethod":"GET","path":"/auth/login"}`, "", "/auth/login"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := proxy.ParseRequest(t.Context(), []byte(test.event), proxy.Config{BasePath: test.base})
			if err != nil {
				t.Fatal(err)
			}
			if r.URL.Path != test.want {
				t.Errorf("path %q, want %q", r.URL.Path, test.want)
			}
		})
	}
}

func TestEventsOfALoadBalancer(t *testing.T) {
	r := parse(t, balancerEvent("headers"))
	if r.Method != "POST" || r.Host != "lb.example.com" || r.RemoteAddr != "" || r.Header.Get("X-Forwarded-For") != "198.51.100.1, 203.0.113.9" {
		t.Errorf("%s at %s from %q with %v", r.Method, r.Host, r.RemoteAddr, r.Header)
	}
	if diff := cmp.Diff(url.Values{"q": {"a&b=c d"}, "pé": {"100%25"}}, r.URL.Query()); diff != "" {
		t.Errorf("query: -want +got:\n%s", diff)
	}
	r = parse(t, balancerEvent("multiValueHeaders"))
	if diff := cmp.Diff(url.Values{"q": {"a&b=c d", "2"}}, r.URL.Query()); diff != "" {
		t.Errorf("query: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(http.Header{"X-Forwarded-For": {"198.51.100.1, 203.0.113.9"}, "Accept": {"a", "b"}}, r.Header); diff != "" {
		t.Errorf("header: -want +got:\n%s", diff)
	}
}

// The log says once that a load balancer's clients cannot be told apart.
func TestFirstLoadBalancerEventWithoutHops(t *testing.T) {
	tests := map[string]struct {
		hops  int
		event string
		lines int
	}{
		"no hops":              {0, balancerEvent("headers"), 1},
		"the balancer's hop":   {1, balancerEvent("headers"), 0},
		"another kind's event": {0, functionURLEvent, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			h := proxy.Handler(http.NotFoundHandler(), proxy.Config{TrustedProxies: test.hops, Log: slog.New(slog.NewJSONHandler(&log, nil))})
			for range 3 {
				if _, err := h(t.Context(), []byte(test.event)); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(log.String(), "LATCHKEY_TRUSTED_PROXIES"); n != test.lines {
				t.Errorf("%d lines name the setting, want %d: %s", n, test.lines, log.String())
			}
		})
	}
}

func TestEventsThatAreNoRequestsAreNamed(t *testing.T) {
	tests := map[string]struct{ event, is string }{
		"SQS":               {`{"Records":[{"messageId":"1","body":"{}","eventSource":"aws:sqs"}]}`, "an SQS event"},
		"SNS":               {`{"Records":[{"EventSource":"aws:sns","Sns":{"Message":"{}"}}]}`, "an SNS event"},
		"S3":                {`{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put"}]}`, "an S3 event"},
		"DynamoDB":          {`{"Records":[{"eventSource":"aws:dynamodb"}]}`, "a DynamoDB stream event"},
		"Kinesis":           {`{"Records":[{"eventSource":"aws:kinesis"}]}`, "a Kinesis event"},
		"SES":               {`{"Records":[{"eventSource":"aws:ses"}]}`, "an SES event"},
		"CloudFront":        {`{"Records":[{"cf":{"request":{"method":"GET","uri":"/login"}}}]}`, "a CloudFront event"},
		"other records":     {`{"Records":[{"eventSource":"aws:new"}]}`, `from "aws:new"`},
		"no records":        {`{"Records":[]}`, "a list of records"},
		"EventBridge":       {`{"version":"0","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{}}`, "an EventBridge event"},
		"WebSocket message": {`{"requestContext":{"routeKey":"$default","eventType":"MESSAGE","connectionId":"L0SM9cOFvHcCIhw="},"body":"hi"}`, "a WebSocket event"},
		"WebSocket connect": {`{"headers":{"Host":"h"},"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"L0SM9cOFvHcCIhw=","stage":"dev"}}`, "a WebSocket event"},
		"Cognito":           {`{"version":"1","triggerSource":"PreSignUp_SignUp","userPoolId":"eu-west-1_x","request":{}}`, "a Cognito trigger"},
		"TOKEN authorizer":  {`{"type":"TOKEN","authorizationToken":"Bearer x","methodArn":"arn"}`, "an authorizer event"},
		"REQUEST":           {`{"type":"REQUEST","methodArn":"arn","resource":"/login","path":"/login","httpMethod":"POST","requestContext":{"httpMethod":"POST"}}`, "an authorizer event"},
		"REQUEST 2.0":       {`{"version":"2.0","type":"REQUEST","routeArn":"arn","rawPath":"/login","requestContext":{"http":{"method":"POST"}}}`, "an authorizer event"},
		"AppSync":           {`{"authorizationToken":"x","requestContext":{"apiId":"a","queryString":"{a}"}}`, "an authorizer event"},
		"CloudWatch Logs":   {`{"awslogs":{"data":"H4sI"}}`, "a CloudWatch Logs event"},
		"Firehose":          {`{"invocationId":"1","deliveryStreamArn":"arn","records":[]}`, "a Firehose event"},
		"Kafka":             {`{"eventSource":"aws:kafka","records":{}}`, "a Kafka event"},
		"custom resource":   {`{"RequestType":"Create","ResponseURL":"https://x"}`, "a CloudFormation custom resource"},
		"VPC Lattice":       {`{"raw_path":"/login","method":"POST","headers":{},"body":"{}"}`, "a VPC Lattice request"},
		"VPC Lattice 2.0":   {`{"version":"2.0","path":"/login","method":"POST","requestContext":{"serviceNetworkArn":"arn"}}`, "a VPC Lattice request"},
	}
	h := proxy.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") }), login)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer, err := h(t.Context(), []byte(test.event))
			var other *proxy.NotHTTPError
			if !errors.As(err, &other) || !strings.Contains(err.Error(), test.is) {
				t.Errorf("answer %s, error %v; want one that says %q", answer, err, test.is)
			}
		})
	}
}

// Each kind is answered in the shape that it wants.
func TestAnswersHaveTheShapeOfTheirEvents(t *testing.T) {
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header()["Vary"] = []string{"Origin", "Accept"}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTeapot)
		w.Write([]byte("hi"))
	}
	joined := map[string]string{"Vary": "Origin, Accept", "Content-Type": "text/plain"}
	rest := proxy.Response{StatusCode: 418, Body: "hi", Headers: map[string]string{"Content-Type": "text/plain"},
		MultiValueHeaders: map[string][]string{"Set-Cookie": {"a=1", "b=2"}, "Vary": {"Origin", "Accept"}}}
	tests := map[string]struct {
		event string
		want  proxy.Response
	}{
		"a REST API":     {`{"resource":"/","path":"/","httpMethod":"GET","requestContext":{"stage":"prod"}}`, rest},
		"a mock":         {`{"body":"hi"}`, rest},
		"an HTTP API":    {httpAPIEvent, proxy.Response{StatusCode: 418, Body: "hi", Headers: joined, Cookies: []string{"a=1", "b=2"}}},
		"a function URL": {functionURLEvent, proxy.Response{StatusCode: 418, Body: "hi", Headers: joined, Cookies: []string{"a=1", "b=2"}}},
		"a load balancer": {balancerEvent("headers"), proxy.Response{StatusCode: 418, StatusDescription: "418 I'm a teapot", Body: "hi",
			Headers: map[string]string{"Vary": "Origin, Accept", "Content-Type": "text/plain", "Set-Cookie": "b=2"}}},
		"a load balancer with several values": {balancerEvent("multiValueHeaders"), proxy.Response{StatusCode: 418, StatusDescription: "418 I'm a teapot", Body: "hi",
			MultiValueHeaders: map[string][]string{"Vary": {"Origin", "Accept"}, "Content-Type": {"text/plain"}, "Set-Cookie": {"a=1", "b=2"}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, handle(t, h, test.event)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Load balancers give no id; the invocation has one.
func TestRequestIDIsTheInvocationsWhereTheEventHasNone(t *testing.T) {
	ctx := gateway.WithInvocation(t.Context(), gateway.Invocation{RequestID: "invocation-1"})
	r, err := proxy.ParseRequest(ctx, []byte(balancerEvent("headers")), login)
	if err != nil {
		t.Fatal(err)
	}
	if id := proxy.RequestID(r.Context()); id != "invocation-1" {
		t.Errorf("request id %q", id)
	}
}
