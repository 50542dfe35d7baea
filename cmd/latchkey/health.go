package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// healthCmd is for images that have no curl.
type healthCmd struct {
	URL  string `arg:"" optional:"" help:"Base URL of the server, or the URL to ask. Default: /readyz at --addr."`
	Addr string `help:"Address that the server listens on (${default})." env:"LATCHKEY_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" group:"Listening"`
}

// healthTimeout is for the whole request: a server that takes longer is not ready.
const healthTimeout = 3 * time.Second

func (c *healthCmd) Run(ctx context.Context, p *process) error {
	target, err := healthURL(c.URL, c.Addr)
	if err != nil {
		return err
	}
	client := http.Client{
		Timeout:       healthTimeout,
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true}, // a proxy would answer for another machine
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return usagef("%q is no URL", c.URL)
	}
	res, err := client.Do(r)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // without the method and the URL, which stand there already
		}
		return fmt.Errorf("%s: %w", target, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: not ready: %s", target, res.Status)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: ready\n", target)
	return err
}

// healthURL is what to ask. A server that listens on every address is asked on
// loopback.
func healthURL(given, addr string) (string, error) {
	if given == "" {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || port == "" || port == "0" {
			return "", usagef("--addr %q must be HOST:PORT, or give the server's URL", addr)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
			if ip != nil && ip.To4() == nil {
				host = "::1"
			}
		}
		return "http://" + net.JoinHostPort(host, port) + "/readyz", nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "", usagef("%q must be like http://127.0.0.1:8080", given)
	}
	if !strings.HasSuffix(u.Path, "/readyz") {
		u = u.JoinPath("readyz")
	}
	return u.String(), nil
}
