package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-auth/latchkey/internal/issuers"
)

// replaceEntry puts an issuer into the file's text in the place of the one that is called
// like it, at the end where there is none, or takes that one out. All other text stays as
// it is, comments included.
func replaceEntry(doc []byte, name string, with *yamlIssuer) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return nil, plainYAML(err)
	}
	lines := bytes.SplitAfter(doc, []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	} else {
		lines[n-1] = append(slices.Clip(lines[n-1]), '\n')
	}
	var at int
	end, indent := len(lines), 2
	list, next := issuersNode(&root)
	switch {
	case list == nil && with == nil:
		return doc, nil
	case list == nil:
		lines = append(lines, []byte("issuers:\n"))
		at, end = len(lines), len(lines)
	case list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || len(list.Content) == 0:
		return nil, errors.New("issuers is no list with a line of its own for each: write it like that first")
	default:
		indent = list.Column - 1
		if next > 0 {
			end = next - 1
		}
		at = entryEnd(lines, list.Content[len(list.Content)-1].Line, end, indent)
		end = at
		for n, entry := range list.Content {
			if nodeMember(entry, "name") != name {
				continue
			}
			at = entry.Line - 1
			if n+1 < len(list.Content) {
				end = commentAbove(lines, list.Content[n+1].Line-1, at)
			}
		}
		if with == nil && len(list.Content) == 1 {
			at = list.Line - 1
			for at > 0 && !bytes.HasPrefix(lines[at], []byte("issuers:")) {
				at--
			}
		}
	}
	var text []byte
	if with != nil {
		var err error
		if text, err = entryText(with, indent); err != nil {
			return nil, err
		}
	}
	return bytes.Join(slices.Concat(lines[:at], [][]byte{text}, lines[end:]), nil), nil
}

// onlyIssuer makes sure that a changed file says the same as before, but for the issuer.
func (c fileConfig) onlyIssuer(file string, changed []byte, name string) error {
	next, err := decodeConfig(file, changed)
	if err != nil {
		return err
	}
	others := func(list []issuers.Issuer) []issuers.Issuer {
		return slices.DeleteFunc(slices.Clone(list), func(i issuers.Issuer) bool { return i.Name == name })
	}
	a, b := others(c.issuers), others(next.issuers)
	if len(a)+len(b) > 0 && !reflect.DeepEqual(a, b) || !reflect.DeepEqual(c.routes, next.routes) || len(c.settings) != len(next.settings) {
		return fmt.Errorf("%s is laid out in a way that cannot be changed safely: edit it by hand, and see `latchkey issuer list`", file)
	}
	return nil
}

// issuersNode finds the list, and the line of the member after it.
func issuersNode(root *yaml.Node) (list *yaml.Node, next int) {
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, 0
	}
	members := root.Content[0].Content
	for i := 0; i+1 < len(members); i += 2 {
		if members[i].Value == "issuers" {
			if i+2 < len(members) {
				next = members[i+2].Line
			}
			return members[i+1], next
		}
	}
	return nil, 0
}

func nodeMember(node *yaml.Node, name string) string {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1].Value
		}
	}
	return ""
}

// entryEnd is where the last entry ends: before the first line that is indented no more
// than the list, and the empty ones above that.
func entryEnd(lines [][]byte, first, end, indent int) int {
	last := first
	for n := first; n < end; n++ {
		text := bytes.TrimLeft(lines[n], " ")
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if len(lines[n])-len(text) <= indent {
			break
		}
		last = n + 1
	}
	return last
}

// commentAbove is where the comment of the entry at a line begins.
func commentAbove(lines [][]byte, line, after int) int {
	for line-1 > after && bytes.HasPrefix(bytes.TrimSpace(lines[line-1]), []byte("#")) {
		line--
	}
	return line
}

func entryText(y *yamlIssuer, indent int) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	var node yaml.Node
	if err := node.Encode(y); err != nil {
		return nil, err
	}
	for _, value := range node.Content {
		if value.Kind == yaml.SequenceNode {
			value.Style = yaml.FlowStyle
		}
	}
	if err := e.Encode(&node); err != nil {
		return nil, err
	}
	var out []byte
	for n, line := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		out = fmt.Appendf(out, "%s%s%s\n", strings.Repeat(" ", indent), []string{"- ", "  "}[min(n, 1)], line)
	}
	return out, nil
}
