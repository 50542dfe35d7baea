package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/latchkey-auth/latchkey/internal/issuers"
)

type issuerRemoveCmd struct {
	Name string `arg:"" help:"Its name in the configuration file."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

func (c *issuerRemoveCmd) Run(p *process) error {
	if issuers.Find(p.config.issuers, c.Name) < 0 {
		return usagef("there is no issuer %q in %s%s", c.Name, cmp.Or(p.config.path, defaultConfig), knownMembers(c.Name, issuers.Names(p.config.issuers, false)))
	}
	changed, err := replaceEntry(p.config.doc, c.Name, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", p.config.path, err)
	}
	if err := p.config.onlyIssuer(p.config.path, changed, c.Name); err != nil {
		return err
	}
	if err := p.confirm(c.Yes, "take "+c.Name+" out of "+p.config.path+"? Its tokens are refused from then on."); err != nil {
		return err
	}
	if err := os.WriteFile(p.config.path, changed, 0o644); err != nil {
		return fmt.Errorf("writing the configuration file: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s has no issuer %s any more\n", p.config.path, c.Name)
	return nil
}
