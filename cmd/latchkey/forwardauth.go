package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/forwardauth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// forwardAuthFlags have serve decide requests for a reverse proxy.
type forwardAuthFlags struct {
	ForwardAuth      forwardauth.Proxy `help:"Decide requests for a reverse proxy at /forward-auth, by the routes of the configuration file: nginx, caddy, traefik or envoy. Default: none." env:"LATCHKEY_FORWARD_AUTH" enum:"nginx,caddy,traefik,envoy," default:"" placeholder:"PROXY" group:"Listening"`
	ForwardAuthPeers []string          `help:"Addresses or networks of the proxies that may ask at /forward-auth, separated by commas. Default: this machine." env:"LATCHKEY_FORWARD_AUTH_PEERS" placeholder:"ADDRESS" group:"Listening"`
}

func (f forwardAuthFlags) Validate() error {
	if f.ForwardAuth == "" && f.ForwardAuthPeers != nil {
		return fmt.Errorf("--forward-auth-peers says who may ask, and --forward-auth is not set: name the kind of proxy with it")
	}
	if _, err := forwardauth.ParsePeers(f.ForwardAuthPeers); err != nil {
		return fmt.Errorf("--forward-auth-peers: %w", err)
	}
	return nil
}

// wrap lets proxies ask beside what h answers.
func (f forwardAuthFlags) wrap(h http.Handler, sys *app.System, config fileConfig) (http.Handler, error) {
	if f.ForwardAuth == "" {
		return h, nil
	}
	if len(config.routes) == 0 {
		return nil, usagef("--forward-auth decides by the routes of the configuration file, and there are none: write them under routes: in latchkey.yaml, or name the file with --config")
	}
	table, err := config.proxyTable(f.ForwardAuth)
	if err != nil {
		return nil, err
	}
	peers := forwardauth.LoopbackPeers
	if f.ForwardAuthPeers != nil {
		if peers, err = forwardauth.ParsePeers(f.ForwardAuthPeers); err != nil {
			return nil, err
		}
	}
	return sys.ForwardAuth(f.ForwardAuth, peers, table, h)
}

// proxyTable is the route table of a proxy that asks: without the auth service's own routes,
// and where a route leads is the proxy's affair.
func (c fileConfig) proxyTable(proxy forwardauth.Proxy) (*gateway.Table, error) {
	routes := slices.Clone(c.routes)
	for i := range routes {
		routes[i].To = cmp.Or(routes[i].To, string(proxy))
	}
	table, err := gateway.NewTable(routes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	return table, nil
}
