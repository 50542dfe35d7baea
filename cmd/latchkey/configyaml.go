package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-auth/latchkey/internal/suggest"
)

// plainYAML takes the names of our types out of the library's errors.
func plainYAML(err error) error {
	unknownMember := regexp.MustCompile(`field (\S+) not found in type main\.(\w+)`)
	yamlTypes := regexp.MustCompile(` in type \S+| into main\.\S+`)
	text := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
	text = strings.TrimPrefix(text, "unmarshal errors: ")
	text = unknownMember.ReplaceAllStringFunc(text, func(found string) string {
		m := unknownMember.FindStringSubmatch(found)
		return fmt.Sprintf("unknown member %q%s", m[1], knownMembers(m[1], yamlMembers[m[2]]))
	})
	return errors.New(yamlTypes.ReplaceAllString(text, ""))
}

// knownMembers says what was meant, or all that there is.
func knownMembers(name string, known []string) string {
	return cmp.Or(suggest.DidYouMean(name, known), "; known are "+strings.Join(known, ", "))
}

// yamlMembers are the members of our types in the file.
var yamlMembers = map[string][]string{
	"yamlRoute":    {"route", "public", "scopes", "roles", "issuers", "max_auth_age", "acr", "amr", "to"},
	"yamlResponse": {"status", "headers", "body"}, "yamlToken": {"claims", "username"}, "yamlIssuer": yamlIssuerMembers,
}

// settingText reads a scalar, or a list of scalars as the flag would take it.
func settingText(node *yaml.Node) (string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, nil
	case yaml.SequenceNode:
		var parts []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("must be a list of plain values")
			}
			parts = append(parts, item.Value)
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("must be a plain value or a list of them")
}
