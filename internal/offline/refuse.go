package offline

import (
	"io"
	"net/http"

	"github.com/latchkey-auth/latchkey/internal/cors"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// A refusal is what API Gateway puts into an answer of its own.
type refusal struct{ message, errorType string }

// refusals holds the message and the x-amzn-ErrorType of each type. An empty
// message is null in the body.
var refusals = map[gateway.ResponseType]refusal{
	gateway.AccessDenied:                 {"User is not authorized to access this resource", "AccessDeniedException"},
	gateway.AuthorizerConfigurationError: {"", "AuthorizerConfigurationException"},
	gateway.AuthorizerFailure:            {"", "AuthorizerConfigurationException"},
	gateway.BadRequestParameters:         {"Bad Request", "BadRequestException"},
	gateway.IntegrationFailure:           {"Internal server error", "InternalServerErrorException"},
	gateway.IntegrationTimeout:           {"Endpoint request timed out", "InternalServerErrorException"},
	gateway.MissingAuthenticationToken:   {"Missing Authentication Token", "MissingAuthenticationTokenException"},
	gateway.RequestTooLarge:              {"Request Too Long", "RequestTooLargeException"},
	gateway.Unauthorized:                 {"Unauthorized", "UnauthorizedException"},
}

// refuse answers in the gateway's own words.
func (x *exchange) refuse(t gateway.ResponseType) { x.refuseWith(t, refusals[t].message) }

func (x *exchange) refuseWith(t gateway.ResponseType, message string) {
	x.refused = t
	response := x.Responses[t]
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Amzn-Errortype", refusals[t].errorType)
	for name := range response.Headers {
		value := response.Header(name, x.auth.context)
		if value == "" {
			continue
		}
		if http.CanonicalHeaderKey(name) == "Vary" {
			h["Vary"] = cors.MergeVary(h["Vary"], []string{value})
			continue
		}
		h.Set(name, value)
	}
	x.w.WriteHeader(response.StatusCode)
	io.WriteString(x.w, response.Render(t, message, x.id))
}

// answer sends what API Gateway does not let anybody change.
func (x *exchange) answer(status int, body string) {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	io.WriteString(x.w, body)
}

// fail refuses and logs why.
func (x *exchange) fail(t gateway.ResponseType, cause error) {
	x.cause = cause
	x.refuse(t)
}

// allowOrigin lets a listed origin read the answer, refusals included: a
// browser that may not read a 401 reports a network error instead.
func (x *exchange) allowOrigin() {
	x.allowed = x.cors.Allow(x.w.Header(), x.r, "WWW-Authenticate, X-Amzn-RequestId, X-Amzn-ErrorType")
}

// preflight answers a CORS preflight (Fetch standard, "CORS-preflight fetch").
// A route declared for OPTIONS answers by itself; one for ANY does not, because
// a preflight carries no token and so would never pass the authorizer.
func (x *exchange) preflight(match gateway.Match, found bool) bool {
	if !x.cors.On() || !cors.IsPreflight(x.r) || found && match.Route.Method == http.MethodOptions {
		return false
	}
	methods := x.Table.MethodsAs(x.TrailingSlash, x.r.URL.EscapedPath())
	if len(methods) == 0 {
		return false
	}
	if x.allowed {
		x.cors.Preflight(x.w.Header(), methods...)
	}
	x.w.WriteHeader(http.StatusNoContent)
	return true
}
