package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/latchkey-auth/latchkey/internal/apidoc"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// againstView is what a document and the table say differently, for machines.
type againstView struct {
	File     string           `json:"file"`
	Kind     apidoc.Kind      `json:"kind"`
	Findings []apidoc.Finding `json:"findings"`
	Unread   []string         `json:"unread"`
}

// compareWith holds each document against the table of the configuration file.
func (p *process) compareWith(files []string) ([]againstView, error) {
	own, err := serviceRoutes()
	if err != nil {
		return nil, err
	}
	var views []againstView
	for _, file := range files {
		doc, err := readAPI(file)
		if err != nil {
			return nil, err
		}
		findings := apidoc.Compare(p.config.routes, own, doc)
		if findings == nil {
			findings = []apidoc.Finding{}
		}
		views = append(views, againstView{file, doc.Kind, findings, list(doc.Unread)})
	}
	return views, nil
}

func readAPI(file string) (apidoc.Document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return apidoc.Document{}, err
	}
	doc, err := apidoc.Read(text)
	if err != nil {
		return apidoc.Document{}, fmt.Errorf("%s: %w", file, err)
	}
	return doc, nil
}

// serviceRoutes are those of the auth service, which an API may have beside the table's.
func serviceRoutes() ([]gateway.Route, error) {
	var routes []gateway.Route
	for _, own := range web.Routes {
		verbs, path, err := gateway.ParseRoute(own)
		if err != nil {
			return nil, err
		}
		for _, verb := range verbs {
			routes = append(routes, gateway.Route{Method: verb, Path: path, Public: true, To: "auth"})
		}
	}
	return routes, nil
}

// differ reports whether something is wrong: what was not read is none that is known.
func differ(views []againstView, strict bool) error {
	n, unread := 0, 0
	for _, v := range views {
		n, unread = n+len(v.Findings), unread+len(v.Unread)
	}
	switch {
	case n > 0:
		return fmt.Errorf("the route table and the API differ: %s", count(n, "finding"))
	case strict && unread > 0:
		return fmt.Errorf("%s could not be read, and --strict is set", count(unread, "part"))
	}
	return nil
}

func printAgainst(w io.Writer, v againstView) error {
	fmt.Fprintf(w, "\n%s, %s:\n", v.File, v.Kind)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range v.Findings {
		line := ""
		if f.Line > 0 {
			line = fmt.Sprintf("line %d", f.Line)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", f.Route, line, f.Problem)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(v.Findings) == 0 {
		fmt.Fprintln(w, "  it agrees with the table")
	}
	for _, u := range v.Unread {
		fmt.Fprintf(w, "  not read: %s\n", u)
	}
	return nil
}

type routesImportCmd struct {
	File string `arg:"" help:"SAM or CloudFormation template, serverless.yml or OpenAPI document."`
	Out  string `short:"o" help:"File to write, which must not be there; - is standard output (${default})." default:"-" placeholder:"FILE"`
}

func (c *routesImportCmd) Run(p *process) error {
	doc, err := readAPI(c.File)
	if err != nil {
		return err
	}
	own, err := serviceRoutes()
	if err != nil {
		return err
	}
	routes, left := doc.Table(own)
	for _, f := range left {
		fmt.Fprintf(p.stderr, "left out: %s (line %d): %s\n", f.Route, f.Line, f.Problem)
	}
	for _, u := range doc.Unread {
		fmt.Fprintf(p.stderr, "not read: %s\n", u)
	}
	if len(routes) == 0 {
		return fmt.Errorf("%s has no route that can be read", c.File)
	}
	text := apidoc.YAML(routes)
	if c.Out == "-" {
		_, err = io.WriteString(p.stdout, text)
	} else {
		err = writeNew(c.Out, text)
	}
	if err != nil {
		return err
	}
	if _, err := gateway.NewTable(routes); err != nil {
		return fmt.Errorf("the table was written, and cannot be used yet: %w", err)
	}
	fmt.Fprintf(p.stderr, "%s from %s; look at each one that is public, then: latchkey routes check\n", count(len(routes), "route"), cmp.Or(c.File, "-"))
	return nil
}

// writeNew never replaces a file, in which people may have written.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and is left as it is; name another file with -o, or copy from standard output", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
