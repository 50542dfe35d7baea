// Package stacktest makes of a CloudFormation template what CloudFormation would, without
// an account, for tests: which resources there are with some parameters, and what their
// properties say. What it does not know fails the test.
package stacktest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A Stack is a template as it is made with some parameters.
type Stack struct {
	Root      *yaml.Node
	Resources map[string]*yaml.Node // those whose condition holds
	Used      map[string]bool       // parameters, and conditions as "condition NAME"

	parameters map[string]string
}

// Account and Region are where the stack is, and API is the id of its API.
const (
	Account = "123456789012"
	Region  = "eu-west-1"
	API     = "abcdef1234"
)

// attributes are what a template may ask of resources, and what they are here. Empty is
// what Ref stands for.
var attributes = map[string]map[string]string{
	"AWS::DynamoDB::Table":      {"": "NAME", "Arn": "arn:aws:dynamodb:" + Region + ":" + Account + ":table/NAME"},
	"AWS::Serverless::Function": {"": "NAME", "Arn": "arn:aws:lambda:" + Region + ":" + Account + ":function:NAME"},
	"AWS::Lambda::Function":     {"": "NAME", "Arn": "arn:aws:lambda:" + Region + ":" + Account + ":function:NAME"},
	"AWS::IAM::Role":            {"": "NAME", "Arn": "arn:aws:iam::" + Account + ":role/NAME"},
	"AWS::Logs::LogGroup":       {"": "NAME", "Arn": "arn:aws:logs:" + Region + ":" + Account + ":log-group:NAME:*"},
	"AWS::Events::Rule":         {"": "NAME", "Arn": "arn:aws:events:" + Region + ":" + Account + ":rule/NAME"},
	"AWS::ApiGateway::RestApi":  {"": API, "RootResourceId": "root"},
	"AWS::ApiGateway::Resource": {"": "NAME"}, "AWS::ApiGateway::Authorizer": {"": "NAME"}, "AWS::ApiGateway::Deployment": {"": "NAME"}, "AWS::S3::Bucket": {"": "NAME"},
}

var pseudo = map[string]string{"AWS::Partition": "aws", "AWS::Region": Region, "AWS::AccountId": Account, "AWS::StackName": "demo", "AWS::URLSuffix": "amazonaws.com"}

// Load reads the template in a file.
func Load(t testing.TB, file string, parameters map[string]string) *Stack {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(t, text, parameters)
}

// Parse reads a template, YAML or JSON. Parameters that are not given have their defaults.
func Parse(t testing.TB, text []byte, parameters map[string]string) *Stack {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	x := &Stack{Root: doc.Content[0], Resources: make(map[string]*yaml.Node), Used: make(map[string]bool), parameters: make(map[string]string)}
	for name, p := range Members(Member(x.Root, "Parameters")) {
		if d := Member(p, "Default"); d != nil {
			x.parameters[name] = d.Value
		}
	}
	for name, value := range parameters {
		if _, ok := x.parameters[name]; !ok {
			t.Fatalf("there is no parameter %s", name)
		}
		x.parameters[name] = value
	}
	for name, r := range Members(Member(x.Root, "Resources")) {
		if c := Member(r, "Condition"); c == nil || x.condition(t, c.Value) {
			x.Resources[name] = r
		}
	}
	return x
}

// Member is a member of a mapping; nil: there is none.
func Member(n *yaml.Node, name string) *yaml.Node { return Members(n)[name] }

// Members are those of a mapping; none of what is no mapping.
func Members(n *yaml.Node) map[string]*yaml.Node {
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
func (x *Stack) condition(t testing.TB, name string) bool {
	t.Helper()
	n := Member(Member(x.Root, "Conditions"), name)
	if n == nil {
		t.Fatalf("there is no condition %s", name)
	}
	x.Used["condition "+name] = true
	return x.truth(t, n)
}

func (x *Stack) truth(t testing.TB, n *yaml.Node) bool {
	t.Helper()
	switch n.Tag {
	case "!Equals":
		return x.Value(t, n.Content[0]) == x.Value(t, n.Content[1])
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

// Value evaluates a part of the template.
func (x *Stack) Value(t testing.TB, n *yaml.Node) any {
	t.Helper()
	switch {
	case n.Tag == "!Ref":
		if n.Value == "AWS::NoValue" {
			return none{}
		}
		v := x.name(t, n, n.Value)
		if typ := Member(Member(Member(x.Root, "Parameters"), n.Value), "Type"); typ != nil && typ.Value == "Number" {
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
			return x.Value(t, n.Content[1])
		}
		return x.Value(t, n.Content[2])
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"):
		t.Fatalf("line %d: the test does not know %s", n.Line, n.Tag)
	case n.Kind == yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			if v := x.Value(t, item); v != (none{}) {
				list = append(list, v)
			}
		}
		return list
	case n.Kind == yaml.MappingNode:
		if v, ok := x.called(t, n); ok {
			return v
		}
		m := make(map[string]any)
		for name, item := range Members(n) {
			if v := x.Value(t, item); v != (none{}) {
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

// called evaluates a function of CloudFormation as JSON spells it; false: it is none.
func (x *Stack) called(t testing.TB, n *yaml.Node) (any, bool) {
	t.Helper()
	if len(n.Content) != 2 || n.Content[0].Value != "Ref" && !strings.HasPrefix(n.Content[0].Value, "Fn::") {
		return nil, false
	}
	argument := n.Content[1]
	switch name := n.Content[0].Value; name {
	case "Ref":
		return x.name(t, argument, argument.Value), true
	case "Fn::GetAtt":
		return x.name(t, argument, argument.Content[0].Value+"."+argument.Content[1].Value), true
	case "Fn::Sub":
		return x.substitute(t, argument), true
	case "Fn::Join":
		var parts []string
		for _, part := range argument.Content[1].Content {
			parts = append(parts, fmt.Sprint(x.Value(t, part)))
		}
		return strings.Join(parts, argument.Content[0].Value), true
	default:
		t.Fatalf("line %d: the test does not know %s", n.Line, name)
		return nil, false
	}
}

// name is what a name, or an attribute NAME.Attribute, stands for.
func (x *Stack) name(t testing.TB, n *yaml.Node, name string) string {
	t.Helper()
	if v, ok := pseudo[name]; ok {
		return v
	}
	if v, ok := x.parameters[name]; ok {
		x.Used[name] = true
		return v
	}
	resource, attribute, _ := strings.Cut(name, ".")
	r := x.Resources[resource]
	if r == nil {
		t.Fatalf("line %d: %s is no parameter, and no resource that is there", n.Line, name)
	}
	v, ok := attributes[Member(r, "Type").Value][attribute]
	if !ok {
		t.Fatalf("line %d: %s has no such attribute", n.Line, name)
	}
	return strings.ReplaceAll(v, "NAME", resource)
}

func (x *Stack) substitute(t testing.TB, n *yaml.Node) string {
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
