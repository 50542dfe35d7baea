package offline

import (
	"net/http"
	"slices"
	"strings"
)

// Headers by which proxies tell a server another method, path, host, address or
// user than the request's own, or more than the client may say. Frameworks believe them, so that a client who may
// send them chooses what the server reads: other than what the gateway has routed
// and authorized. All spellings are lower case, with "-".
var (
	overrideHeaders = []string{
		// Another method.
		"x-http-method", "x-http-method-override", "x-method", "x-method-override", "x-envoy-original-method",
		// Another path, or a way around the server's own checks or to its files.
		"x-rewrite-url", "x-http-path-override", "x-envoy-original-path", "x-request-uri", "x-script-name", "script-name", "request-uri", "path-info",
		"x-waws-unencoded-url", "x-ms-original-url", "x-middleware-subrequest", "x-sendfile-type", "x-accel-mapping",
		// Another proxy for what the server itself asks for: CGI makes HTTP_PROXY of it.
		"proxy",
		// Another user.
		"x-remote-user", "x-user", "x-user-id", "x-auth-user", "x-authenticated-user", "x-proxy-user", "x-authenticated-userid", "x-consumer-username",
	}
	overridePrefixes = []string{
		"x-latchkey-", "x-original-",
		// The event or context of a gateway, which adapters for Lambda take an identity from.
		"x-apigateway-", "x-amzn-request-context", "x-amzn-lambda-context",
		// Another user.
		"remote-", "x-webauth-", "x-auth-request-", "x-authentik-", "tailscale-user-", "cf-access-",
		"x-ms-client-principal", "x-amzn-oidc-", "x-goog-authenticated-user-", "x-goog-iap-",
		// Another client's certificate (RFC 9440 and before).
		"client-cert", "ssl-client-", "x-ssl-client-",
	}

	// Another host, scheme or address. They say too that a proxy passed the request on.
	forwardHeaders = []string{
		"forwarded", "x-forwarded", "x-host", "x-scheme", "x-url-scheme", "front-end-https",
		"x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-remote-ip", "x-remote-addr", "x-originating-ip", "x-envoy-external-address",
		"client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-appengine-user-ip", "x-azure-clientip",
	}
	forwardPrefixes = []string{"x-forwarded-"}
)

// dropOverrides drops them from a client's request.
func dropOverrides(h http.Header) {
	for name := range h {
		plain := plainName(name)
		if isOneOf(plain, overrideHeaders, overridePrefixes) || isOneOf(plain, forwardHeaders, forwardPrefixes) {
			delete(h, name)
		}
	}
}

// passedOn reports whether a proxy or a tunnel says that the client is elsewhere.
// Tunnels can be told to write a loopback name into Host.
func passedOn(h http.Header) bool {
	for name := range h {
		if plain := plainName(name); plain == "via" || isOneOf(plain, forwardHeaders, forwardPrefixes) {
			return true
		}
	}
	return false
}

// plainName is a header's name as servers may read it: CGI and its heirs read "_",
// "." and "-" in names alike, so all of them do here.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

func isOneOf(name string, names, prefixes []string) bool {
	return slices.Contains(names, name) ||
		slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// setIdentity sets the identity headers in place of a client's own.
func setIdentity(h http.Header, identity map[string]string) {
	for name, value := range identity {
		h[name] = []string{value}
	}
}
