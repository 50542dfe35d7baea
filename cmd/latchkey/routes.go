package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/forwardauth"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

type routesCmd struct {
	Compile routesCompileCmd `cmd:"" help:"Check the routes of the configuration file and write routes.json for the authorizer."`
	Check   routesCheckCmd   `cmd:"" help:"Ask the policies of every kind of principal about every route: exit status 1 where they differ from the table."`
	Import  routesImportCmd  `cmd:"" help:"Write the routes of a SAM template, serverless.yml or OpenAPI document as a table."`
	Explain routesExplainCmd `cmd:"" help:"Say which check or rule decides about a request with a token."`
}

type routesCompileCmd struct {
	Out string `short:"o" help:"File to write; - is standard output." default:"routes.json" placeholder:"FILE"`
}

func (c *routesCompileCmd) Run(p *process) error {
	t, err := p.declaredTable("compile")
	if err != nil {
		return err
	}
	doc := append(t.JSON(), '\n')
	if c.Out == "-" {
		_, err = p.stdout.Write(doc)
		return err
	}
	if err := os.WriteFile(c.Out, doc, 0o644); err != nil {
		return fmt.Errorf("writing the route table: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s: %d routes\n", c.Out, len(t.Routes()))
	return nil
}

// declaredTable is the table of the configuration file, which has to declare one.
func (p *process) declaredTable(to string) (*gateway.Table, error) {
	if len(p.config.routes) == 0 {
		return nil, usagef("there are no routes to %s: declare them in %s, or name another file with --config", to, cmp.Or(p.config.path, defaultConfig))
	}
	return p.config.servedTable()
}

// servedTable is the table by which requests are decided: that of a proxy where the file
// names one.
func (c fileConfig) servedTable() (*gateway.Table, error) {
	if proxy := c.settings["forward-auth"]; proxy != "" && len(c.routes) > 0 {
		return c.proxyTable(forwardauth.Proxy(proxy))
	}
	return c.table()
}

// table is the route table with the auth service's own routes in it.
func (c fileConfig) table() (*gateway.Table, error) {
	routes := slices.Clone(c.routes)
	if routes == nil {
		routes = slices.Clone(app.DemoRoutes)
	}
	own, err := serviceRoutes()
	if err != nil {
		return nil, err
	}
	for _, o := range own {
		if slices.ContainsFunc(c.routes, func(r gateway.Route) bool {
			return r.Path == o.Path && (r.Method == o.Method || r.Method == gateway.MethodAny)
		}) {
			return nil, fmt.Errorf("%s: the auth service itself answers %s; take the route out", c.path, o)
		}
	}
	routes = append(routes, own...)
	t, err := gateway.NewTable(routes)
	if err != nil && c.path != "" {
		err = fmt.Errorf("%s: %w", c.path, err)
	}
	return t, err
}
