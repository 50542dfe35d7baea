package awsaccess

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// A Cause is why AWS did not carry out a request, as far as the caller has to know.
type Cause int

const (
	// Other is an answer that only the service itself can explain.
	Other Cause = iota
	// Denied: the credentials are good, and lack the right.
	Denied
	// NoCredentials: there are none, or they are wrong or expired.
	NoCredentials
	// Throttled: too many requests; the same one may succeed later.
	Throttled
	// Unreachable: no answer, or one that says that the service has a fault.
	Unreachable
)

// codes are those that services of AWS share. What a service calls its own is not among
// them.
var codes = map[string]Cause{
	"AccessDenied": Denied, "AccessDeniedException": Denied, "UnauthorizedOperation": Denied, "NotAuthorized": Denied,

	"UnrecognizedClientException": NoCredentials, "InvalidClientTokenId": NoCredentials, "InvalidSignatureException": NoCredentials,
	"SignatureDoesNotMatch": NoCredentials, "IncompleteSignature": NoCredentials, "IncompleteSignatureException": NoCredentials,
	"ExpiredToken": NoCredentials, "ExpiredTokenException": NoCredentials, "RequestExpired": NoCredentials, "MissingAuthenticationToken": NoCredentials,
	"MissingAuthenticationTokenException": NoCredentials, "InvalidAccessKeyId": NoCredentials,

	"Throttling": Throttled, "ThrottlingException": Throttled, "ThrottledException": Throttled, "RequestThrottled": Throttled,
	"RequestThrottledException": Throttled, "TooManyRequestsException": Throttled, "RequestLimitExceeded": Throttled,
	"ProvisionedThroughputExceededException": Throttled, "BandwidthLimitExceeded": Throttled, "SlowDown": Throttled,

	"InternalFailure": Unreachable, "InternalServerError": Unreachable, "InternalServiceError": Unreachable, "InternalServiceErrorException": Unreachable,
	"ServiceUnavailable": Unreachable, "ServiceUnavailableException": Unreachable,
}

// CauseOf reads an error of the SDK.
func CauseOf(err error) Cause {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		cause, known := codes[answer.ErrorCode()]
		if !known && answer.ErrorFault() == smithy.FaultServer {
			return Unreachable
		}
		return cause
	}
	var signing *v4.SigningError
	var network net.Error
	switch {
	case errors.As(err, &signing), strings.Contains(err.Error(), "get credentials"), strings.Contains(err.Error(), "refresh cached credentials"):
		return NoCredentials
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return Unreachable
	}
	return Other
}

// Code is the name that the service gives to an error, empty for one that is not an answer
// of a service.
func Code(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

// A Right is what IAM has to allow for a request.
type Right struct {
	Actions  []string // "dynamodb:GetItem"
	Resource string   // an ARN, or words
	// Also says what else may be needed, in words. Empty: nothing.
	Also string
}

// String says what to grant.
func (r Right) String() string {
	text := "grant " + strings.Join(r.Actions, " and ") + " on " + r.Resource
	if r.Also != "" {
		text += " (" + r.Also + ")"
	}
	return text
}

// refusedAction is how AWS says which right is missing. Compiled at the first use, not at
// the start of every program.
var refusedAction = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`perform: ([a-z0-9-]+:[A-Za-z]+)(?: on resource: (arn:\S+))?`)
})

// refused is the right that AWS says is missing. What it leaves out is as in r, unless the
// action is of another service: a service may lack a right at the key of what it reads.
func (r Right) refused(err error) Right {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return r
	}
	m := refusedAction().FindStringSubmatch(answer.ErrorMessage())
	if m == nil {
		return r
	}
	action, resource := m[1], m[2]
	switch same := len(r.Actions) > 0 && service(action) == service(r.Actions[0]); {
	case same:
		return Right{[]string{action}, cmp.Or(resource, r.Resource), r.Also}
	case resource != "":
		return Right{Actions: []string{action}, Resource: resource}
	}
	return r
}

// service is that of an action.
func service(action string) string {
	name, _, _ := strings.Cut(action, ":")
	return name
}

// A RightError says which right is missing.
type RightError struct {
	Right
	Err error
}

func (e *RightError) Error() string { return fmt.Sprintf("%v (hint: %s)", e.Err, e.Right) }
func (e *RightError) Unwrap() error { return e.Err }

// Explain says what to do about the error of a request that needs r. One that is [Denied]
// becomes a *RightError, with the action and the resource that AWS names. Errors of which
// only the service knows the reason are returned as they are.
func Explain(err error, r Right) error {
	hint := ""
	switch CauseOf(err) {
	case Denied:
		return &RightError{r.refused(err), err}
	case NoCredentials:
		hint = "give this process a role, or credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, that are valid now; a clock that is wrong by minutes makes them invalid too"
	case Throttled:
		hint = "AWS is asked too often; try again, or ask AWS for a higher quota of " + strings.Join(r.Actions, " and ")
	case Unreachable:
		hint = "the service does not answer: look at the network, a VPC without a route or an endpoint to it, AWS_ENDPOINT_URL, and at AWS's health page"
	default:
		return err
	}
	return fmt.Errorf("%w (hint: %s)", err, hint)
}
