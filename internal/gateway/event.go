package gateway

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// A Kind is a kind of authorizer event. The answer has the shape that it asks for.
type Kind string

// The kinds of authorizer events.
const (
	KindToken     Kind = "TOKEN"     // REST API, authorizer of type TOKEN
	KindRequest   Kind = "REQUEST"   // REST API, authorizer of type REQUEST
	KindWebSocket Kind = "WebSocket" // WebSocket API, route $connect
	KindHTTP1     Kind = "HTTP 1.0"  // HTTP API, payload format 1.0
	KindHTTP2     Kind = "HTTP 2.0"  // HTTP API, payload format 2.0
	KindAppSync   Kind = "AppSync"   // AppSync GraphQL API
)

// A Question is what an authorizer event of any kind asks: may the bearer of this
// credential call this method?
type Question struct {
	Credential string // empty: there was none
	// Bare: the credential is a token. Otherwise it is the value of an Authorization
	// header.
	Bare bool
	// Unclear says why none of several credentials counts; empty: there was one at most.
	Unclear  string
	Asked    ARN    // zero in AppSync's events, which have none
	RouteKey string // "GET /orders/{id}" or "$default"; in events of KindHTTP2 only
}

// ReadEvent reads an authorizer event. Where an event holds a whole request, the token
// is looked for in the sources; without any, in the Authorization header. Events that
// are no authorizer's are errors that name them.
func ReadEvent(event []byte, sources ...TokenSource) (Kind, Question, error) {
	m, err := readMembers(string(event))
	if err != nil {
		return "", Question{}, fmt.Errorf("parsing authorizer event: %w", err)
	}
	kind, err := m.kindOf()
	if err != nil {
		return "", Question{}, err
	}
	q, err := m.question(kind, sources)
	if err != nil {
		return "", Question{}, err
	}
	return kind, q, nil
}

// TokenEvent is the inverse of ReadEvent for KindToken: the event that a REST API
// sends to ask the question. Broken UTF-8 in the credential becomes U+FFFD.
func TokenEvent(q Question) []byte {
	out := append([]byte(nil), `{"type":"TOKEN","authorizationToken":`...)
	out = strictjson.AppendString(out, q.Credential)
	out = strictjson.AppendString(append(out, `,"methodArn":`...), q.Asked.String())
	return append(out, '}')
}

// members are those of an event that a reader looks at. A value that is not there has
// kind 0.
type members struct {
	event string // what type says

	version, token                string
	hasToken                      bool
	methodARN, routeARN, routeKey string

	identity                strictjson.Value
	headers, multiHeaders   strictjson.Value
	query, multiQuery       strictjson.Value
	cookies, requestContext strictjson.Value

	foreign string // what an event without a type is; empty: not known
}

func readMembers(event string) (members, error) {
	var m members
	err := strictjson.Object(event, m.read)
	return m, err
}

func (m *members) read(name string, v strictjson.Value) error {
	switch name {
	case "type":
		return textOrNull(name, v, &m.event)
	case "authorizationToken":
		m.hasToken = true
		return textOrNull(name, v, &m.token)
	case "methodArn":
		return textOrNull(name, v, &m.methodARN)
	case "routeArn":
		return textOrNull(name, v, &m.routeARN)
	case "version":
		return textOrNull(name, v, &m.version)
	case "routeKey":
		return textOrNull(name, v, &m.routeKey)
	case "identitySource":
		m.identity = v
	case "headers":
		m.headers = v
	case "multiValueHeaders":
		m.multiHeaders = v
	case "queryStringParameters":
		m.query = v
	case "multiValueQueryStringParameters":
		m.multiQuery = v
	case "cookies":
		m.cookies = v
	case "requestContext":
		m.requestContext = v
	default:
		m.foreign = cmp.Or(foreignEvent(name), m.foreign)
	}
	return nil
}

func textOrNull(name string, v strictjson.Value, to *string) error {
	text, ok := v.Text()
	if !ok && v.Kind() != strictjson.Null {
		return fmt.Errorf("%s is not a string", name)
	}
	*to = text
	return nil
}

// kindOf tells the kinds apart by marks that AWS sets and no client can.
func (m *members) kindOf() (Kind, error) {
	if m.event == string(KindToken) {
		return KindToken, nil
	}
	c, err := readRequestContext(m.requestContext)
	if err != nil {
		return "", fmt.Errorf("parsing authorizer event: %w", err)
	}
	switch {
	case m.event == "REQUEST" && m.version == "2.0":
		return KindHTTP2, nil
	case m.event == "REQUEST" && m.version == "1.0":
		return KindHTTP1, nil
	case m.event == "REQUEST" && m.version != "":
		return "", fmt.Errorf("authorizer event has version %q: must be 1.0 or 2.0, the payload formats of HTTP APIs", m.version)
	case m.event == "REQUEST":
		return c.kindOfRequest()
	case m.event != "":
		return "", fmt.Errorf("authorizer event has type %q: must be TOKEN or REQUEST", m.event)
	case m.hasToken && c.isGraphQL():
		return KindAppSync, nil
	}
	what := cmp.Or(c.foreign, m.foreign, "another event")
	return "", fmt.Errorf("authorizer event has type \"\": it is %s, and this function is an authorizer; call it from the authorizer of a REST, HTTP or WebSocket API of API Gateway, or of AppSync", what)
}

// foreignEvent names what has a member that no authorizer event has without a type.
func foreignEvent(member string) string {
	switch member {
	case "Records":
		return "a list of records (SQS, SNS, S3, a stream)"
	case "httpMethod", "rawPath":
		return httpEvent
	case "raw_path":
		return latticeRequest
	case "detail-type":
		return "an EventBridge event"
	case "triggerSource":
		return "a Cognito trigger"
	}
	return ""
}

const (
	httpEvent       = "an HTTP event"
	latticeRequest  = "a request of VPC Lattice, which has no Lambda authorizers (its auth policies are IAM's)"
	balancerRequest = "a request of an Application Load Balancer, which has no Lambda authorizers (its listener rules authenticate)"
)

// A requestContext is what the member of this name tells of the event's kind.
type requestContext struct {
	httpMethod, eventType, connectionID string
	apiID, accountID, requestID         string
	query                               bool   // it holds a GraphQL query
	foreign                             string // what the event is, when it is no authorizer's
}

func readRequestContext(v strictjson.Value) (requestContext, error) {
	var c requestContext
	err := eachMember("requestContext", v, c.read)
	return c, err
}

func (c *requestContext) read(name string, v strictjson.Value) error {
	switch name {
	case "httpMethod":
		c.foreign = cmp.Or(c.foreign, httpEvent)
		return textOrNull(name, v, &c.httpMethod)
	case "eventType":
		c.foreign = cmp.Or(c.foreign, "a WebSocket event")
		return textOrNull(name, v, &c.eventType)
	case "connectionId":
		return textOrNull(name, v, &c.connectionID)
	case "apiId":
		return textOrNull(name, v, &c.apiID)
	case "accountId":
		return textOrNull(name, v, &c.accountID)
	case "queryString", "operationName", "variables":
		c.query = true
	case "requestId":
		return textOrNull(name, v, &c.requestID)
	case "elb":
		c.foreign = balancerRequest
	case "serviceNetworkArn", "serviceArn", "targetGroupArn":
		c.foreign = latticeRequest
	case "channelNamespaceName", "channel", "operation":
		c.foreign = "an AppSync Event API's, which this authorizer does not answer"
	case "http":
		c.foreign = httpEvent
	}
	return nil
}

// kindOfRequest tells a REST API's event of type REQUEST from a WebSocket API's.
func (c *requestContext) kindOfRequest() (Kind, error) {
	switch {
	case c.httpMethod != "" && c.eventType == "":
		return KindRequest, nil
	case c.httpMethod == "" && c.eventType == "CONNECT" && c.connectionID != "":
		return KindWebSocket, nil
	case c.httpMethod == "" && c.eventType != "":
		return "", fmt.Errorf("authorizer event is of a WebSocket API and its eventType is %q: must be CONNECT, with a connectionId", c.eventType)
	}
	return "", errors.New("authorizer event of type REQUEST must have a version, or requestContext must have either an httpMethod (REST API) or an eventType (WebSocket API)")
}

// isGraphQL takes events without a query as well: what AppSync sends when a subscription
// connects is not documented.
func (c *requestContext) isGraphQL() bool {
	return c.apiID != "" && c.accountID != "" && (c.query || c.requestID != "") && c.foreign == ""
}

// question reads what an event of the kind asks.
func (m *members) question(kind Kind, sources []TokenSource) (Question, error) {
	switch kind {
	case KindAppSync:
		// Its documentation wants tokens without a scheme; clients send one all the same.
		token, bare := withoutScheme(m.token)
		return Question{Credential: token, Bare: bare}, nil
	case KindToken:
		asked, err := parseAsked(kind, m.methodARN)
		return Question{Credential: m.token, Asked: asked}, err
	}
	arn := m.methodARN
	if kind == KindHTTP2 {
		if arn = m.routeARN; m.routeKey == "" {
			return Question{}, errors.New("authorizer event of version 2.0 has no routeKey")
		}
	}
	asked, err := parseAsked(kind, arn)
	if err != nil {
		return Question{}, err
	}
	q := Question{Asked: asked}
	if kind == KindHTTP2 {
		q.RouteKey = m.routeKey
	}
	if err := m.findToken(kind, sources, &q); err != nil {
		return Question{}, fmt.Errorf("parsing authorizer event: %w", err)
	}
	if kind == KindHTTP1 || kind == KindHTTP2 {
		err = m.checkIdentity(q)
	}
	return q, err
}

// parseAsked reads the ARN of an event, which names a route key only where APIs of
// that kind have one.
func parseAsked(kind Kind, text string) (ARN, error) {
	a, err := ParseARN(text)
	if err != nil {
		return ARN{}, err
	}
	wants := "end with API/STAGE/VERB/PATH, not with a route key"
	good := a.RouteKey == ""
	switch kind {
	case KindWebSocket:
		wants, good = "end with API/STAGE/$connect", a.RouteKey == "$connect"
	case KindHTTP1, KindHTTP2:
		wants, good = "end with API/STAGE/VERB/PATH or API/STAGE/$default", good || a.RouteKey == "$default"
	}
	if !good {
		return ARN{}, fmt.Errorf("method ARN of an event of kind %s must %s", kind, wants)
	}
	return a, nil
}
