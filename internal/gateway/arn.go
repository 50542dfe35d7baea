package gateway

import (
	"errors"
	"fmt"
	"strings"
)

// maxARN is the longest method ARN that API Gateway authorizes (quota
// "Length of method ARN", 1,600 bytes).
const maxARN = 1600

// An ARN names one method of an API as API Gateway asks about it:
//
//	arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/orders/42
//
// Path is the requested path without its first slash. It may hold colons and
// slashes, so an ARN must not simply be split at them.
type ARN struct {
	Partition, Region, Account, API, Stage, Method, Path string
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
	p := strings.SplitN(f[5], "/", 4)
	if len(p) != 4 {
		return ARN{}, errors.New("method ARN must end with API/STAGE/VERB/PATH")
	}
	a := ARN{f[1], f[3], f[4], p[0], p[1], p[2], p[3]}
	for i, part := range []string{a.Partition, a.Region, a.Account, a.API, a.Method, a.Stage} {
		// A wildcard in these would make every policy built on them a wider one.
		if part == "" || strings.ContainsAny(part, "*?") && (i < 5 || part != anyStage) {
			return ARN{}, errors.New("method ARN has an empty part or a wildcard in it")
		}
	}
	return a, nil
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
func (a ARN) String() string { return a.stage() + a.Method + "/" + a.Path }

// stage is what the ARNs of all methods of the API's stage begin with.
func (a ARN) stage() string {
	return "arn:" + a.Partition + ":execute-api:" + a.Region + ":" + a.Account + ":" + a.API + "/" + a.Stage + "/"
}
