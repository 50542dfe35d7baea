package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// A ResponseType names one of the answers that API Gateway gives by itself
// ("Gateway response types" in its developer guide).
type ResponseType string

// The types that the local gateway can answer with.
const (
	AccessDenied                 ResponseType = "ACCESS_DENIED"
	AuthorizerConfigurationError ResponseType = "AUTHORIZER_CONFIGURATION_ERROR"
	AuthorizerFailure            ResponseType = "AUTHORIZER_FAILURE"
	BadRequestParameters         ResponseType = "BAD_REQUEST_PARAMETERS"
	IntegrationFailure           ResponseType = "INTEGRATION_FAILURE"
	IntegrationTimeout           ResponseType = "INTEGRATION_TIMEOUT"
	MissingAuthenticationToken   ResponseType = "MISSING_AUTHENTICATION_TOKEN"
	RequestTooLarge              ResponseType = "REQUEST_TOO_LARGE"
	Unauthorized                 ResponseType = "UNAUTHORIZED"
	Default4XX                   ResponseType = "DEFAULT_4XX"
	Default5XX                   ResponseType = "DEFAULT_5XX"
)

// A Response is how one type is answered. Body is a template in which
// $context.error.message, $context.error.messageString (the same in quotes),
// $context.error.responseType and $context.requestId are replaced. A header that is
// $context.authorizer.NAME has the value of that member of the authorizer's context, and
// is left out where there is none.
type Response struct {
	StatusCode int
	Headers    map[string]string
	Body       string
}

// messageBody is API Gateway's own template.
const messageBody = `{"message":$context.error.messageString}`

// DefaultResponses returns what an API answers with latchkey's overrides: API
// Gateway's own, but for the challenges: that which RFC 9110 section 15.5.2 demands
// of UNAUTHORIZED, and that of RFC 9470 for who has to sign in again.
func DefaultResponses() map[ResponseType]Response {
	return map[ResponseType]Response{
		AccessDenied:                 {403, map[string]string{"WWW-Authenticate": authorizerValue + challengeName}, `{"Message":$context.error.messageString}`},
		AuthorizerConfigurationError: {500, nil, messageBody},
		AuthorizerFailure:            {500, nil, messageBody},
		BadRequestParameters:         {400, nil, messageBody},
		IntegrationFailure:           {502, nil, messageBody},
		IntegrationTimeout:           {504, nil, messageBody},
		MissingAuthenticationToken:   {403, nil, messageBody},
		RequestTooLarge:              {413, nil, messageBody},
		Unauthorized: {401, map[string]string{"WWW-Authenticate": "Bearer"},
			`{"statusCode":401,"error":"Unauthorized","message":"Unauthorized"}`},
	}
}

// OverrideResponses returns the defaults with the given ones in their place.
// DEFAULT_4XX and DEFAULT_5XX stand for every type of that class that is not
// overridden itself: by them, or by latchkey, as the templates in deploy/ do.
func OverrideResponses(overrides map[ResponseType]Response) (map[ResponseType]Response, error) {
	all := DefaultResponses()
	for _, class := range []ResponseType{Default4XX, Default5XX} {
		o, ok := overrides[class]
		if !ok {
			continue
		}
		if err := checkResponse(class, o); err != nil {
			return nil, err
		}
		for t, r := range all {
			if (r.StatusCode >= 500) == (class == Default5XX) && t != Unauthorized && t != AccessDenied {
				all[t] = merge(r, o)
			}
		}
	}
	for t, o := range overrides {
		if t == Default4XX || t == Default5XX {
			continue
		}
		r, known := all[t]
		if !known {
			return nil, fmt.Errorf("gateway response %q: unknown type; known are %s", t, typeNames(all))
		}
		if err := checkResponse(t, o); err != nil {
			return nil, err
		}
		all[t] = merge(r, o)
	}
	return all, nil
}

func typeNames(all map[ResponseType]Response) string {
	var names []string
	for t := range maps.Keys(all) {
		names = append(names, string(t))
	}
	slices.Sort(names)
	return strings.Join(append(names, string(Default4XX), string(Default5XX)), ", ")
}

func checkResponse(t ResponseType, r Response) error {
	if r.StatusCode != 0 && (r.StatusCode < 400 || r.StatusCode > 599) {
		return fmt.Errorf("gateway response %s: status %d must be 400 to 599", t, r.StatusCode)
	}
	for name, value := range r.Headers {
		// RFC 9110 sections 5.1 and 5.5. net/http would leave out the one and
		// change the other without a word.
		if name == "" || strings.Trim(name, tokenChars) != "" || strings.ContainsFunc(value, isControl) {
			return fmt.Errorf("gateway response %s: header %q cannot be sent", t, name)
		}
	}
	return nil
}

// tokenChars is what a header's name may hold.
const tokenChars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }

// merge lays o over r: what o leaves out stays.
func merge(r, o Response) Response {
	if o.StatusCode != 0 {
		r.StatusCode = o.StatusCode
	}
	if o.Headers != nil {
		r.Headers = o.Headers
	}
	if o.Body != "" {
		r.Body = o.Body
	}
	return r
}

// Render fills the body's template. An empty message is null, as API Gateway
// has it for authorizer failures.
func (r Response) Render(t ResponseType, message, requestID string) string {
	quoted, plain := "null", "null"
	if message != "" {
		plain = escape(message)
		quoted = `"` + plain + `"`
	}
	return strings.NewReplacer(
		"$context.error.messageString", quoted,
		"$context.error.message", plain,
		"$context.error.responseType", string(t),
		"$context.requestId", escape(requestID),
	).Replace(r.Body)
}

// authorizerValue begins a header's value that is a member of the authorizer's context.
const authorizerValue = "$context.authorizer."

// Header returns a header's value for a request to whose authorizer this context
// belongs; empty: the header is left out.
func (r Response) Header(name string, authorizer map[string]any) string {
	value := r.Headers[name]
	if member, ok := strings.CutPrefix(value, authorizerValue); ok {
		value, _ = authorizer[member].(string)
	}
	return value
}

// escape writes s as the inside of a JSON string.
func escape(s string) string {
	quoted := strictjson.AppendString(nil, s)
	return string(quoted[1 : len(quoted)-1])
}
