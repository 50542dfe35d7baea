// Package deploy_test checks the templates without an account.
package deploy_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A template is one of CloudFormation, as it is made with some parameters.
type template struct {
	root       *yaml.Node
	parameters map[string]string
	resources  map[string]*yaml.Node // those whose condition holds
	used       map[string]bool       // parameters and conditions
}

// The attributes of resources that the template may ask for, and what they are here.
var attributes = map[string]map[string]string{
	"AWS::DynamoDB::Table":      {"": "NAME", "Arn": "arn:aws:dynamodb:eu-west-1:123456789012:table/NAME"},
	"AWS::Serverless::Function": {"": "NAME", "Arn": "arn:aws:lambda:eu-west-1:123456789012:function:NAME"},
	"AWS::IAM::Role":            {"": "NAME", "Arn": "arn:aws:iam::123456789012:role/NAME"},
	"AWS::Logs::LogGroup":       {"": "NAME", "Arn": "arn:aws:logs:eu-west-1:123456789012:log-group:NAME:*"},
	"AWS::Events::Rule":         {"": "NAME", "Arn": "arn:aws:events:eu-west-1:123456789012:rule/NAME"},
	"AWS::ApiGateway::RestApi":  {"": "abcdef1234", "RootResourceId": "root"},
	"AWS::ApiGateway::Resource": {"": "NAME"}, "AWS::ApiGateway::Authorizer": {"": "NAME"}, "AWS::ApiGateway::Deployment": {"": "NAME"},
}

var pseudo = map[string]string{"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012", "AWS::StackName": "demo", "AWS::URLSuffix": "amazonaws.com"}

func load(t *testing.T, parameters map[string]string) *template {
	t.Helper()
	text, err := os.ReadFile("sam/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	x := &template{root: doc.Content[0], parameters: make(map[string]string), resources: make(map[string]*yaml.Node), used: make(map[string]bool)}
	for name, p := range members(member(x.root, "Parameters")) {
		if d := member(p, "Default"); d != nil {
			x.parameters[name] = d.Value
		}
	}
	for name, value := range parameters {
		if _, ok := x.parameters[name]; !ok {
			t.Fatalf("there is no parameter %s", name)
		}
		x.parameters[name] = value
	}
	for name, r := range members(member(x.root, "Resources")) {
		if c := member(r, "Condition"); c == nil || x.condition(t, c.Value) {
			x.resources[name] = r
		}
	}
	return x
}

func member(n *yaml.Node, name string) *yaml.Node { return members(n)[name] }

func members(n *yaml.Node) map[string]*yaml.Node {
	all := make(map[string]*yaml.Node)
	if n == nil || n.Kind != yaml.MappingNode {
		return all
	}
	for i := 0; i < len(n.Content); i += 2 {
		all[n.Content[i].Value] = n.Content[i+1]
	}
	return all
}

// condition evaluates a condition by its name.
func (x *template) condition(t *testing.T, name string) bool {
	t.Helper()
	n := member(member(x.root, "Conditions"), name)
	if n == nil {
		t.Fatalf("there is no condition %s", name)
	}
	x.used["condition "+name] = true
	return x.truth(t, n)
}

func (x *template) truth(t *testing.T, n *yaml.Node) bool {
	t.Helper()
	switch n.Tag {
	case "!Equals":
		return x.value(t, n.Content[0]) == x.value(t, n.Content[1])
	case "!Not":
		return !x.truth(t, n.Content[0])
	case "!And":
		return !slices.ContainsFunc(n.Content, func(n *yaml.Node) bool { return !x.truth(t, n) })
	case "!Condition":
		return x.condition(t, n.Value)
	}
	t.Fatalf("line %d: %s is no condition", n.Line, n.Tag)
	return false
}

// none is AWS::NoValue.
type none struct{}

// value evaluates a part of the template.
func (x *template) value(t *testing.T, n *yaml.Node) any {
	t.Helper()
	switch {
	case n.Tag == "!Ref":
		if n.Value == "AWS::NoValue" {
			return none{}
		}
		v := x.name(t, n, n.Value)
		if typ := member(member(member(x.root, "Parameters"), n.Value), "Type"); typ != nil && typ.Value == "Number" {
			number, err := strconv.Atoi(v)
			if err != nil {
				t.Fatalf("parameter %s: %v", n.Value, err)
			}
			return number
		}
		return v
	case n.Tag == "!GetAtt":
		return x.name(t, n, n.Value)
	case n.Tag == "!Sub":
		return x.substitute(t, n)
	case n.Tag == "!If":
		if x.condition(t, n.Content[0].Value) {
			return x.value(t, n.Content[1])
		}
		return x.value(t, n.Content[2])
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"):
		t.Fatalf("line %d: the test does not know %s", n.Line, n.Tag)
	case n.Kind == yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			if v := x.value(t, item); v != (none{}) {
				list = append(list, v)
			}
		}
		return list
	case n.Kind == yaml.MappingNode:
		m := make(map[string]any)
		for name, item := range members(n) {
			if v := x.value(t, item); v != (none{}) {
				m[name] = v
			}
		}
		return m
	case n.Kind == yaml.AliasNode:
		t.Fatalf("line %d: CloudFormation knows no aliases", n.Line)
	}
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// name is what a name, or an attribute NAME.Attribute, stands for.
func (x *template) name(t *testing.T, n *yaml.Node, name string) string {
	t.Helper()
	if v, ok := pseudo[name]; ok {
		return v
	}
	if v, ok := x.parameters[name]; ok {
		x.used[name] = true
		return v
	}
	resource, attribute, _ := strings.Cut(name, ".")
	r := x.resources[resource]
	if r == nil {
		t.Fatalf("line %d: %s is no parameter, and no resource that is there", n.Line, name)
	}
	v, ok := attributes[member(r, "Type").Value][attribute]
	if !ok {
		t.Fatalf("line %d: %s has no such attribute", n.Line, name)
	}
	return strings.ReplaceAll(v, "NAME", resource)
}

func (x *template) substitute(t *testing.T, n *yaml.Node) string {
	t.Helper()
	var b strings.Builder
	rest := n.Value
	for {
		before, after, found := strings.Cut(rest, "${")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed {
			t.Fatalf("line %d: ${ without }", n.Line)
		}
		b.WriteString(x.name(t, n, name))
		rest = after
	}
}

// needs are the resources that a part of the template names.
func (x *template) needs(n *yaml.Node) []string {
	var found []string
	add := func(name string) {
		name, _, _ = strings.Cut(name, ".")
		if x.resources[name] != nil && !slices.Contains(found, name) {
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
		for name, c := range members(n) { // as JSON spells the functions
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
	if d := member(n, "DependsOn"); d != nil {
		for _, c := range append(d.Content, d) {
			add(c.Value)
		}
	}
	return found
}

// forms are the parameters with which a stack is made.
var forms = map[string]map[string]string{
	"default": nil,
	"all":     {"PublicUrl": "https://auth.example.com", "CorsOrigin": "https://app.example.com", "MailFrom": "mail@example.com", "Registration": "open"},
	"bare":    {"Demo": "false"},
}

// TestTemplateIsWhole: every name leads somewhere, and nothing waits for itself.
func TestTemplateIsWhole(t *testing.T) {
	used := make(map[string]bool)
	for name, parameters := range forms {
		x := load(t, parameters)
		for _, r := range x.resources {
			x.value(t, member(r, "Properties"))
		}
		x.value(t, member(x.root, "Outputs"))
		x.refuseCircles(t, name)
		for n := range x.used {
			used[n] = true
		}
	}
	x := load(t, nil)
	for name := range members(member(x.root, "Parameters")) {
		if !used[name] {
			t.Errorf("nothing uses parameter %s", name)
		}
	}
	for name := range members(member(x.root, "Conditions")) {
		if !used["condition "+name] {
			t.Errorf("nothing uses condition %s", name)
		}
	}
}

func (x *template) refuseCircles(t *testing.T, form string) {
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
		for _, next := range x.needs(x.resources[name]) {
			visit(next, append(slices.Clone(path), name))
		}
		state[name] = done
	}
	for name := range x.resources {
		visit(name, nil)
	}
}

// function is what Lambda is told of a function.
type function struct {
	handler string
	env     map[string]string
}

func (x *template) function(t *testing.T, name string) function {
	t.Helper()
	p, ok := x.value(t, member(x.resources[name], "Properties")).(map[string]any)
	if !ok {
		t.Fatalf("there is no function %s", name)
	}
	f := function{handler: fmt.Sprint(p["Handler"]), env: make(map[string]string)}
	if e, ok := p["Environment"].(map[string]any); ok {
		for name, v := range e["Variables"].(map[string]any) {
			f.env[name] = fmt.Sprint(v)
		}
	}
	return f
}
