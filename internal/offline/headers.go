package offline

import (
	"net/http"
	"slices"
	"strings"
)

// Headers by which proxies tell a server another method, path, host, address or
// user than the request's own. Frameworks believe them, so that a client who may
// send them chooses what the server reads: other than what the gateway has routed
// and authorized. All spellings are lower case, with "-".
var (
	overrideHeaders = []string{
		// Another method.
		"x-http-method", "x-http-method-override", "x-method", "x-method-override",
		// Another path.
		"x-rewrite-url", "x-envoy-original-path", "x-request-uri", "x-script-name", "script-name", "request-uri", "path-info",
		"x-envoy-original-method", "x-waws-unencoded-url", "x-ms-original-url",
		// Another host or scheme.
		"x-host", "x-url-scheme", "front-end-https", "forwarded",
		// Another address.
		"x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-remote-ip", "x-remote-addr", "x-originating-ip", "x-envoy-external-address",
		"client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-appengine-user-ip", "x-azure-clientip",
		// Another user.
		"remote-user", "x-remote-user", "x-user", "x-authenticated-user", "x-webauth-user", "x-proxy-user", "x-authenticated-userid", "x-consumer-username",
	}
	overridePrefixes = []string{"x-latchkey-", "x-forwarded-", "x-original-", "x-auth-request-", "x-ms-client-principal", "x-amzn-oidc-", "x-goog-authenticated-user-"}
)

// dropOverrides drops them from a client's request. CGI and its heirs read "_",
// "." and "-" in names alike, so all of them do here.
func dropOverrides(h http.Header) {
	for name := range h {
		plain := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, strings.ToLower(name))
		if slices.Contains(overrideHeaders, plain) ||
			slices.ContainsFunc(overridePrefixes, func(prefix string) bool { return strings.HasPrefix(plain, prefix) }) {
			delete(h, name)
		}
	}
}

// setIdentity sets the identity headers, empty on public routes.
func setIdentity(h http.Header, authorizer map[string]any) {
	for name, member := range identityHeaders {
		value, _ := authorizer[member].(string)
		h[name] = []string{value}
	}
}
