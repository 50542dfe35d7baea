package gateway

import (
	"errors"
	"fmt"
	"strings"
)

// maxARN is the longest method ARN that API Gateway authorizes (quota
// "Length of method ARN", 1,600 bytes).
const maxARN = 1600

// An ARN names what API Gateway asks about: a method and a path of a REST or HTTP API,
//
//	arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/orders/42
//
// or a route key, of a WebSocket API or of an HTTP API's default route:
//
//	arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/$connect
//
// Either Method or RouteKey is set. Path is the requested path without its first
// slash. It may hold colons and slashes, so an ARN must not simply be split at them.
type ARN struct {
	Partition, Region, Account, API, Stage string

	Method, Path string
	RouteKey     string // "$connect", "$disconnect" or "$default"
}

// ParseARN reads a method ARN.
func ParseARN(s string) (ARN, error) {
	if len(s) > maxARN {
		return ARN{}, fmt.Errorf("method ARN has %d bytes: must have %d at most", len(s), maxARN)
	}
	f := strings.SplitN(s, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[2] != "execute-api" {
		return ARN{}, errors.New("method ARN must have the form arn:PARTITION:execute-api:REGION:ACCOUNT:API/STAGE/VERB/PATH")
	}
	a := ARN{Partition: f[1], Region: f[3], Account: f[4]}
	switch p := strings.SplitN(f[5], "/", 4); {
	case len(p) == 4:
		a.API, a.Stage, a.Method, a.Path = p[0], p[1], p[2], p[3]
	case len(p) == 3 && isRouteKey(p[2]):
		a.API, a.Stage, a.RouteKey = p[0], p[1], p[2]
	default:
		return ARN{}, errors.New("method ARN must end with API/STAGE/VERB/PATH or API/STAGE/$ROUTEKEY")
	}
	for i, part := range []string{a.Partition, a.Region, a.Account, a.API, a.Method + a.RouteKey, a.Stage} {
		// A wildcard in these would make every policy built on them a wider one.
		if part == "" || strings.ContainsAny(part, "*?") && (i < 5 || part != anyStage) {
			return ARN{}, errors.New("method ARN has an empty part or a wildcard in it")
		}
	}
	return a, nil
}

// isRouteKey reports whether API Gateway gives this route key a meaning. Route keys of
// an API's own choice have none, and no authorizer is asked about them.
func isRouteKey(s string) bool {
	return s == "$connect" || s == "$disconnect" || s == "$default"
}

// anyStage is the stage of a sample event in the documentation, which people paste
// into the console's test; testStage is one under which the console itself tests.
const (
	anyStage  = "*"
	testStage = "test-invoke-stage"
)

// resources is what the resources of a policy begin with: the API and stage, all of
// it literal. No request comes from a stage named "*", so the answer to such an
// event grants nothing but on the stage for tests.
func (a ARN) resources() string {
	if a.Stage == anyStage {
		a.Stage = testStage
	}
	return a.stage()
}

// String is the inverse of ParseARN.
func (a ARN) String() string {
	if a.RouteKey != "" {
		return a.stage() + a.RouteKey
	}
	return a.stage() + a.Method + "/" + a.Path
}

// stage is what the ARNs of all methods and route keys of the API's stage begin with.
func (a ARN) stage() string {
	return "arn:" + a.Partition + ":execute-api:" + a.Region + ":" + a.Account + ":" + a.API + "/" + a.Stage + "/"
}
