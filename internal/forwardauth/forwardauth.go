// Package forwardauth decides requests for reverse proxies that ask about each one before
// they pass it on: nginx (auth_request), Caddy and Traefik (forward auth), Envoy
// (ext_authz over HTTP).
//
// The decision is that of the authorizer on Lambda, by the same route table. Who asks is
// known by the address of the connection alone, and only these may say which request they
// ask about.
package forwardauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// Path is where proxies ask. Envoy appends the path that it asks about.
const Path = "/forward-auth"

const (
	// maxURI is longer than what the proxies take by default, 8 KiB with the whole
	// request line.
	maxURI    = 8192
	maxMethod = 16
)

// A Proxy is a kind of proxy: how it says which request it asks about.
type Proxy string

const (
	Nginx   Proxy = "nginx"   // X-Original-Method and X-Original-URI, set by its configuration
	Caddy   Proxy = "caddy"   // X-Forwarded-Method and X-Forwarded-Uri
	Traefik Proxy = "traefik" // the same
	Envoy   Proxy = "envoy"   // its own method, and the path behind Path
)

// An Authorizer decides; [gateway.Authorizer] is one.
type Authorizer interface {
	AuthorizeRequest(ctx context.Context, credential, method, path string) ([]gateway.ContextValue, error)
}

// Config is what a Handler needs.
type Config struct {
	Authorizer Authorizer // required
	Proxy      Proxy      // required
	// Claims are those that the Authorizer tells of a principal; nil: no more than every
	// server behind is told.
	Claims []gateway.ContextClaim
	// Peers may ask. Others are told what they would be without this package.
	Peers []netip.Prefix
	Log   *slog.Logger // required
}

// LoopbackPeers are the proxies of this machine.
var LoopbackPeers = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// ParsePeers reads addresses and networks (10.0.0.0/8).
func ParsePeers(list []string) ([]netip.Prefix, error) {
	var peers []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil {
				p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
			}
		}
		switch {
		case err != nil || !p.IsValid():
			return nil, fmt.Errorf("%q must be an address or a network: 10.0.0.7 or 10.0.0.0/8", text)
		case p.Bits() == 0:
			return nil, fmt.Errorf("%q is every address: a client that may ask chooses the request that is decided; name the proxies", text)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%q must be written as an IPv4 network", text)
		}
		peers = append(peers, p.Masked())
	}
	return peers, nil
}

type handler struct {
	Config
	next http.Handler
}

// New returns a handler that answers the peers at Path and leaves all else to next.
func New(cfg Config, next http.Handler) (http.Handler, error) {
	if cfg.Authorizer == nil || cfg.Log == nil || !slices.Contains([]Proxy{Nginx, Caddy, Traefik, Envoy}, cfg.Proxy) {
		return nil, errors.New("forwardauth: authorizer, log and a proxy of a known kind must be set")
	}
	return &handler{cfg, next}, nil
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.isAsked(r) || !h.isPeer(r.RemoteAddr) {
		h.next.ServeHTTP(w, r)
		return
	}
	a, err := h.Proxy.asks(r)
	if err != nil {
		// Proxies make 500 of it: the request is not passed on.
		h.Log.Error("the proxy does not say which request it asks about, see --forward-auth", slog.String("proxy", string(h.Proxy)), slog.String("error", err.Error()))
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.decide(w, r, a)
}

func (h *handler) isAsked(r *http.Request) bool {
	if h.Proxy == Envoy {
		return strings.HasPrefix(r.RequestURI, Path+"/")
	}
	return r.URL.Path == Path
}

func (h *handler) isPeer(address string) bool {
	from, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	addr := from.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(h.Peers, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// asked is the request that a proxy asks about.
type asked struct{ method, path string }

// asks reads what the proxy asks about, from the one place that its kind has for it.
func (p Proxy) asks(r *http.Request) (asked, error) {
	method, uri := r.Method, strings.TrimPrefix(r.RequestURI, Path)
	if p != Envoy {
		names := [2]string{"X-Forwarded-Method", "X-Forwarded-Uri"}
		if p == Nginx {
			names = [2]string{"X-Original-Method", "X-Original-Uri"}
		}
		var err error
		if method, err = only(r.Header, names[0], maxMethod); err != nil {
			return asked{}, err
		}
		if uri, err = only(r.Header, names[1], maxURI); err != nil {
			return asked{}, err
		}
	}
	if len(uri) > maxURI {
		return asked{}, fmt.Errorf("the path is longer than %d bytes", maxURI)
	}
	path, _, _ := strings.Cut(uri, "?")
	return asked{method, path}, nil
}

// only is the value of a header that is there once.
func only(h http.Header, name string, most int) (string, error) {
	switch values := h[name]; {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("%s is missing", name)
	case len(values) > 1:
		return "", fmt.Errorf("%s is there twice", name)
	case len(values[0]) > most:
		return "", fmt.Errorf("%s is longer than %d bytes", name, most)
	default:
		return values[0], nil
	}
}

// decide answers 200 with the identity headers, 401 with a challenge, 403 or 503.
func (h *handler) decide(w http.ResponseWriter, r *http.Request, a asked) {
	// Two headers are no credential: programs differ in which of them they read.
	credential := ""
	if values := r.Header["Authorization"]; len(values) == 1 {
		credential = values[0]
	}
	values, err := h.Authorizer.AuthorizeRequest(r.Context(), credential, a.method, a.path)
	var again *gateway.SignInError
	var headers map[string]string
	if err == nil {
		headers, err = gateway.IdentityHeaders(h.Claims, func(name string) string {
			for _, v := range values {
				if v.Name == name {
					return v.Value
				}
			}
			return ""
		})
	}
	switch {
	case err == nil:
		for name, value := range headers {
			w.Header()[name] = []string{value}
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, gateway.ErrUnauthorized) && len(r.Header["Authorization"]) == 0:
		httpauth.Answer(w, httpauth.ErrNoToken)
	case errors.Is(err, gateway.ErrUnauthorized):
		httpauth.Answer(w, latchkey.ErrInvalidToken)
	case errors.As(err, &again):
		refuse(w, http.StatusUnauthorized, again.Challenge)
	case errors.Is(err, gateway.ErrForbidden):
		refuse(w, http.StatusForbidden, "")
	default:
		h.Log.Error("a request could not be decided", slog.String("error", err.Error()))
		httpauth.Answer(w, err)
	}
}

// refuse answers as httpauth does, but for the scopes: which route was meant is not told.
//
// Who has to sign in again gets 401, as in the examples of RFC 9470 section 3: nginx passes
// WWW-Authenticate on with that status alone.
func refuse(w http.ResponseWriter, status int, challenge string) {
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"statusCode":%d,"error":%[2]q,"message":%[2]q}`+"\n", status, http.StatusText(status))
}
