package awsaccess

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

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

// Explain says what to do about an error: what to grant on which resource where a right is
// missing. Other errors it returns as they are.
func Explain(err error, action, resource string) error {
	hint := ""
	switch CauseOf(err) {
	case Denied:
		hint = fmt.Sprintf("grant %s on %s to the role of this process", action, resource)
	case NoCredentials:
		hint = "give this process a role, or credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, that are valid now; a clock that is wrong by minutes makes them invalid too"
	case Throttled:
		hint = "AWS is asked too often; try again, or ask AWS for a higher quota of " + action
	case Unreachable:
		hint = "the service does not answer: look at the network, a VPC without a route or an endpoint to it, AWS_ENDPOINT_URL, and at AWS's health page"
	default:
		return err
	}
	return fmt.Errorf("%w (hint: %s)", err, hint)
}
