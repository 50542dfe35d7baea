package main

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/app"
)

// maintainCmd is for a timer on a machine, where the service runs on Lambda and no schedule
// calls it. Servers do the same by themselves.
type maintainCmd struct {
	serviceFlags
}

func (c *maintainCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	if !compatible() && c.PublicURL == "" && c.Issuer == "" {
		return usagef("--public-url is missing: give what the service is given")
	}
	sys, err := app.OpenSystem(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	defer sys.Close()
	return sys.Maintain(ctx)
}
