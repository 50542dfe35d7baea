package apidoc

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// A value is a node of the document. One that is absent is a value too, with nothing in it.
type value struct {
	r *reader
	n *yaml.Node
}

func (r *reader) at(n *yaml.Node) value {
	// An alias can name one that names another.
	for n != nil && n.Kind == yaml.AliasNode && r.budget > 0 {
		n = n.Alias
		r.budget--
	}
	return value{r, n}
}

func (v value) present() bool { return v.n != nil && v.n.Tag != "!!null" }

func (v value) isMap() bool { return v.n != nil && v.n.Kind == yaml.MappingNode }

func (v value) isList() bool { return v.n != nil && v.n.Kind == yaml.SequenceNode }

func (v value) line() int {
	if v.n == nil {
		return 0
	}
	return v.n.Line
}

// get is a member; absent where there is none, and where v is no map.
func (v value) get(name string) value {
	found := value{v.r, nil}
	v.each(func(member string, m value) {
		if member == name {
			found = m
		}
	})
	return found
}

// in is a member of a member.
func (v value) in(names ...string) value {
	for _, name := range names {
		v = v.get(name)
	}
	return v
}

// each goes over the members of a map, those of merge keys after its own.
func (v value) each(f func(name string, m value)) {
	if !v.isMap() {
		return
	}
	seen := make(map[string]bool)
	var walk func(n *yaml.Node, depth int)
	walk = func(n *yaml.Node, depth int) {
		var merged []*yaml.Node
		for i := 0; i+1 < len(n.Content) && v.r.budget > 0; i += 2 {
			v.r.budget--
			key, m := v.r.at(n.Content[i]), v.r.at(n.Content[i+1])
			if key.n == nil || key.n.Kind != yaml.ScalarNode {
				continue
			}
			if key.n.Tag == "!!merge" {
				merged = append(merged, m.n)
				continue
			}
			if !seen[key.n.Value] {
				seen[key.n.Value] = true
				f(key.n.Value, m)
			}
		}
		for _, m := range merged {
			for _, n := range mergeSources(m) {
				if n = v.r.at(n).n; n != nil && n.Kind == yaml.MappingNode && depth < 16 {
					walk(n, depth+1)
				}
			}
		}
	}
	walk(v.n, 0)
}

func mergeSources(n *yaml.Node) []*yaml.Node {
	if n != nil && n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

// items are the elements of a list.
func (v value) items() []value {
	if !v.isList() {
		return nil
	}
	var all []value
	for _, n := range v.n.Content {
		if v.r.budget--; v.r.budget <= 0 {
			break
		}
		all = append(all, v.r.at(n))
	}
	return all
}

// text is a scalar that is meant as it stands; not one of CloudFormation's functions.
func (v value) text() (string, bool) {
	if v.n == nil || v.n.Kind != yaml.ScalarNode || isFunction(v.n.Tag) || v.n.Tag == "!!null" {
		return "", false
	}
	return v.n.Value, true
}

func isFunction(tag string) bool { return strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") }

// texts are the texts of a list, or the one text.
func (v value) texts() []string {
	if s, ok := v.text(); ok {
		return []string{s}
	}
	var all []string
	for _, item := range v.items() {
		if s, ok := item.text(); ok {
			all = append(all, s)
		}
	}
	return all
}

// ref is the logical name that !Ref, !GetAtt or !Sub of one name leads to; empty where
// there is another function, or none.
func (v value) ref() string {
	if v.n == nil {
		return ""
	}
	name, kind := "", v.n.Tag
	switch v.n.Kind {
	case yaml.ScalarNode:
		name = v.n.Value
	case yaml.SequenceNode: // !GetAtt [Name, Arn]
		if first := v.items(); len(first) > 0 {
			name, _ = first[0].text()
		}
	case yaml.MappingNode: // {"Ref": "Name"}, {"Fn::GetAtt": ["Name", "Arn"]}
		if len(v.n.Content) != 2 {
			return ""
		}
		kind = map[string]string{"Ref": "!Ref", "Fn::GetAtt": "!GetAtt", "Fn::Sub": "!Sub"}[v.n.Content[0].Value]
		inner := v.r.at(v.n.Content[1])
		if items := inner.items(); len(items) > 0 {
			inner = items[0]
		}
		name, _ = inner.text()
	}
	switch kind {
	case "!Ref":
		return name
	case "!GetAtt":
		name, _, _ = strings.Cut(name, ".")
		return name
	case "!Sub":
		return onlyVariable(name)
	}
	return ""
}

// onlyVariable is the function that a text such as an integration's URI names:
// "arn:${AWS::Partition}:…/functions/${Orders.Arn}/invocations".
func onlyVariable(text string) string {
	found := ""
	for {
		_, rest, ok := strings.Cut(text, "${")
		if !ok {
			return found
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return found
		}
		text = after
		if name, _, _ = strings.Cut(name, "."); strings.HasPrefix(name, "AWS::") {
			continue
		}
		if found != "" && found != name {
			return ""
		}
		found = name
	}
}
