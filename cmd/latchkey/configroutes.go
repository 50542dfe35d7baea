package main

import (
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/rights"
)

// yamlRoute and yamlResponse are how the file writes them.
type yamlRoute struct {
	Route  string    `yaml:"route"`
	Public bool      `yaml:"public"`
	Scopes yaml.Node `yaml:"scopes"`
	Roles  yaml.Node `yaml:"roles"`
	To     string    `yaml:"to"`

	Issuers    words         `yaml:"issuers"`
	ACR        words         `yaml:"acr"`
	AMR        words         `yaml:"amr"`
	MaxAuthAge time.Duration `yaml:"max_auth_age"`
}

// words are a list of texts, or one.
type words []string

func (w *words) UnmarshalYAML(node *yaml.Node) error {
	items := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		items = node.Content
	}
	for _, item := range items {
		if item.Kind != yaml.ScalarNode || item.Tag != "!!str" {
			return fmt.Errorf("line %d: must be text, or a list of texts; put a number into quotes", item.Line)
		}
		*w = append(*w, item.Value)
	}
	if len(*w) == 0 {
		return fmt.Errorf("line %d: must not be an empty list: leave it out to ask for nothing", node.Line)
	}
	return nil
}

// scopes reads a list, or {any: LIST}. It refuses what a typing error would turn
// into "any signed-in user".
func (r yamlRoute) scopes() (scopes []string, anyOf bool, err error) {
	list := r.Scopes
	if list.IsZero() {
		return nil, false, nil
	}
	if list.Kind == yaml.MappingNode && len(list.Content) == 2 && slices.Contains([]string{"any", "all"}, list.Content[0].Value) {
		anyOf, list = list.Content[0].Value == "any", *list.Content[1]
	}
	if list.Kind == yaml.SequenceNode {
		for _, node := range list.Content {
			if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
				return nil, false, fmt.Errorf("line %d: route %s: a scope must be text; put it in quotes", node.Line, r.Route)
			}
			scopes = append(scopes, node.Value)
		}
	}
	if len(scopes) == 0 {
		return nil, false, fmt.Errorf("line %d: route %s: scopes must be a list of one at least, [orders:read], or {any: [orders:read, orders:admin]} where one of them is enough; leave scopes out to let any signed-in user call it", list.Line, r.Route)
	}
	return scopes, anyOf, nil
}

// routes are one for each verb.
func (r yamlRoute) routes(table rights.RoleTable) ([]gateway.Route, error) {
	verbs, path, err := gateway.ParseRoute(r.Route)
	if err != nil {
		return nil, err
	}
	needs := r.scopes
	if !r.Roles.IsZero() {
		needs = func() ([]string, bool, error) { return r.scopesOfRoles(table) }
	}
	scopes, anyOf, err := needs()
	if err != nil {
		return nil, err
	}
	routes := make([]gateway.Route, len(verbs))
	for i, verb := range verbs {
		routes[i] = gateway.Route{Method: verb, Path: path, Public: r.Public, Scopes: scopes, AnyScope: anyOf, Issuers: r.Issuers, To: r.To}
		routes[i].SignIn = gateway.SignIn{MaxAuthAge: r.MaxAuthAge, ACR: r.ACR, AMR: r.AMR}
	}
	return routes, nil
}

type yamlResponse struct {
	Status  int               `yaml:"status"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
}
