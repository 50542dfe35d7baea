package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/latchkey-auth/latchkey/internal/app"
)

// listen binds the address of --addr.
func listen(ctx context.Context, addr string, log *slog.Logger) (*app.Server, error) {
	srv, err := app.Listen(ctx, addr, log)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --addr, port 0 takes a free one", err)
	}
	return srv, nil
}

// checkLoopback refuses addresses that other machines can reach.
func checkLoopback(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("--addr %q must be HOST:PORT", addr)
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if host == "" || err != nil || len(ips) == 0 {
		return usagef("--addr %q: offline listens on loopback only; use 127.0.0.1:PORT", addr)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return usagef("--addr %q: offline has a demo user with a known password and listens on loopback only; use 127.0.0.1:PORT, or latchkey serve", addr)
		}
	}
	return nil
}
