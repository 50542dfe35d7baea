package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/issuers/remote"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

type issuerCmd struct {
	Add     issuerAddCmd     `cmd:"" help:"Ask an issuer who it is, show what would be accepted, and write it into the configuration file."`
	List    issuerListCmd    `cmd:"" help:"List the other issuers of the configuration file."`
	Remove  issuerRemoveCmd  `cmd:"" help:"Take an issuer out of the configuration file."`
	Compile issuerCompileCmd `cmd:"" help:"Write issuers.json for the authorizer, with the key sets as they are now."`
}

// yamlIssuer is an issuer as latchkey.yaml has it.
type yamlIssuer struct {
	Name          string     `yaml:"name"`
	URL           string     `yaml:"url"`
	Profile       string     `yaml:"profile"`
	Audiences     words      `yaml:"audiences"`
	AudienceClaim string     `yaml:"audience_claim,omitempty"`
	Scopes        words      `yaml:"scopes,omitempty"`
	ScopeClaims   []words    `yaml:"scope_claims,omitempty"`
	Require       yamlClaims `yaml:"require,omitempty"`
	JWKSURI       string     `yaml:"jwks_uri,omitempty"`
	JWKSFile      string     `yaml:"jwks_file,omitempty"`
	AllowPrivate  bool       `yaml:"allow_private,omitempty"`
}

var yamlIssuerMembers = []string{"name", "url", "profile", "audiences", "audience_claim", "scopes", "scope_claims", "require", "jwks_uri", "jwks_file", "allow_private"}

// yamlClaims are claims and the values that they may have, in the order of the file.
type yamlClaims []latchkey.Match

func (c *yamlClaims) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: must be claims with their values, {hd: [example.com]}", node.Line)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		m := latchkey.Match{Claim: latchkey.ClaimPath{node.Content[i].Value}}
		values := []*yaml.Node{node.Content[i+1]}
		if values[0].Kind == yaml.SequenceNode {
			values = values[0].Content
		}
		for _, v := range values {
			if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
				return fmt.Errorf("line %d: the values of %s must be texts, numbers or true and false", v.Line, node.Content[i].Value)
			}
			m.Values = append(m.Values, v.Value)
		}
		if len(m.Values) == 0 {
			return fmt.Errorf("line %d: %s has no values", node.Content[i].Line, node.Content[i].Value)
		}
		*c = append(*c, m)
	}
	return nil
}

func (c yamlClaims) MarshalYAML() (any, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, m := range c {
		value := &yaml.Node{}
		if err := value.Encode(m.Values); err != nil {
			return nil, err
		}
		value.Style = yaml.FlowStyle
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: m.Claim[0]}, value)
	}
	return node, nil
}

// issuer reads the key set's file too.
func (y yamlIssuer) issuer() (issuers.Issuer, error) {
	i := issuers.Issuer{
		Name: y.Name, URL: y.URL, Profile: y.Profile, Audiences: y.Audiences, AudienceClaim: y.AudienceClaim, Scopes: y.Scopes,
		Require: y.Require, JWKSURI: y.JWKSURI, AllowPrivate: y.AllowPrivate,
	}
	for _, path := range y.ScopeClaims {
		i.ScopeClaims = append(i.ScopeClaims, latchkey.ClaimPath(path))
	}
	if y.JWKSFile == "" {
		if _, err := remote.Set(i, nil, false); err != nil {
			return i, plainAllowPrivate(err)
		}
		return i, nil
	}
	doc, err := textfile.ReadFile(y.JWKSFile)
	if err != nil {
		return i, fmt.Errorf("reading its key set: %w", err)
	}
	if _, err := latchkey.ParseJWKS(doc); err != nil {
		return i, fmt.Errorf("%s: %w", y.JWKSFile, err)
	}
	i.JWKS, i.Pinned = doc, true
	return i, nil
}

// plainAllowPrivate calls the setting by its name in the file.
func plainAllowPrivate(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "AllowPrivate", "allow_private: true"))
}

// checkIssuers refuses routes that name issuers which the file does not have.
func (c fileConfig) checkIssuers() error {
	known := issuers.Names(c.issuers, true)
	for _, r := range c.routes {
		for _, name := range r.Issuers {
			if !slices.Contains(known, name) {
				return fmt.Errorf("route %s admits issuer %q, which is not declared%s", r, name, knownMembers(name, known))
			}
		}
	}
	return nil
}

type issuerListCmd struct {
	JSON bool `help:"Print JSON."`
}

var issuerColumns = []column{{title: "NAME"}, {title: "PROFILE"}, {title: "URL", min: 16}, {title: "AUDIENCES", min: 10, yields: 1}, {title: "SCOPES", min: 8, yields: 2}, {title: "ROUTES"}}

func (c *issuerListCmd) Run(p *process) error {
	if c.JSON {
		_, err := p.stdout.Write(issuers.JSON(p.config.issuers))
		return err
	}
	t := p.newTable(issuerColumns)
	for _, i := range p.config.issuers {
		t.add(i.Name, i.Profile, i.URL, strings.Join(i.Audiences, " "), cmp.Or(strings.Join(i.Scopes, " "), "-"), fmt.Sprint(routesOf(p.config.routes, i.Name)))
	}
	return t.flush()
}

// routesOf counts the routes that admit an issuer.
func routesOf(routes []gateway.Route, name string) (n int) {
	for _, r := range routes {
		if slices.Contains(r.Issuers, name) {
			n++
		}
	}
	return n
}

type issuerCompileCmd struct {
	Out      string `short:"o" help:"File to write; - is standard output." default:"issuers.json" placeholder:"FILE"`
	Pin      bool   `help:"Have the authorizer fetch nothing: the keys are those of now, until the file is written again."`
	Snapshot bool   `help:"Fetch the key sets, so that a cold start needs no network (${default})." default:"true" negatable:""`
}

// snapshotTimeout is for all key sets together.
const snapshotTimeout = 20 * time.Second

func (c *issuerCompileCmd) Run(ctx context.Context, p *process) error {
	if c.Pin && !c.Snapshot {
		return usagef("--pin needs the key sets; leave out --no-snapshot")
	}
	list := slices.Clone(p.config.issuers)
	if len(list) == 0 {
		return usagef("there are no issuers to compile: add one with `latchkey issuer add`, or name another file with --config")
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	for n := range list {
		if list[n].Pinned || !c.Snapshot {
			continue
		}
		doc, err := snapshot(ctx, list[n])
		if err != nil {
			return fmt.Errorf("issuer %q: %w", list[n].Name, err)
		}
		list[n].JWKS = doc
		if c.Pin {
			list[n].Pinned, list[n].JWKSURI = true, ""
		}
	}
	doc := issuers.JSON(list)
	if c.Out == "-" {
		_, err := p.stdout.Write(doc)
		return err
	}
	if err := os.WriteFile(c.Out, doc, 0o644); err != nil {
		return fmt.Errorf("writing the issuers: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s: %d issuers\n", c.Out, len(list))
	return nil
}

// snapshot fetches the key set of an issuer.
func snapshot(ctx context.Context, i issuers.Issuer) ([]byte, error) {
	set, err := remote.Set(i, nil, true)
	if err == nil {
		var doc []byte
		if doc, err = set.Snapshot(ctx); err == nil {
			return doc, nil
		}
	}
	return nil, plainAllowPrivate(err)
}
