package stacktest

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// RefuseCircles fails the test where resources wait for each other.
func (x *Stack) RefuseCircles(t testing.TB, form string) {
	t.Helper()
	const begun, done = 1, 2
	state := make(map[string]int)
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		switch state[name] {
		case done:
			return
		case begun:
			t.Errorf("%s: a circle: %s", form, strings.Join(append(path, name), " needs "))
			return
		}
		state[name] = begun
		for _, next := range x.needs(x.Resources[name]) {
			visit(next, append(slices.Clone(path), name))
		}
		state[name] = done
	}
	for name := range x.Resources {
		visit(name, nil)
	}
}

// needs are the resources that a part of the template names.
func (x *Stack) needs(n *yaml.Node) []string {
	var found []string
	add := func(name string) {
		name, _, _ = strings.Cut(name, ".")
		if x.Resources[name] != nil && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		switch n.Tag {
		case "!Ref", "!GetAtt":
			add(n.Value)
		case "!Sub":
			for part := range strings.SplitSeq(n.Value, "${") {
				name, _, _ := strings.Cut(part, "}")
				add(name)
			}
		}
		for name, c := range Members(n) { // as JSON spells the functions
			switch {
			case name == "Ref", name == "Fn::GetAtt" && c.Kind == yaml.ScalarNode:
				add(c.Value)
			case name == "Fn::GetAtt" && len(c.Content) > 0:
				add(c.Content[0].Value)
			case name == "Fn::Sub":
				walk(&yaml.Node{Tag: "!Sub", Value: c.Value})
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(n)
	if d := Member(n, "DependsOn"); d != nil {
		for _, c := range append(d.Content, d) {
			add(c.Value)
		}
	}
	return found
}
