package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/suggest"
)

// describedFlags are what an operator says of a new user.
type describedFlags struct {
	Role []string `help:"A role; latchkey.yaml says which scopes it gives. Repeat it, or separate several by commas." sep:"none" placeholder:"NAME"`
	Attr []string `help:"An attribute, which latchkey.yaml can make a claim of tokens. Repeat it for several." sep:"none" placeholder:"NAME=VALUE"`
}

func (f describedFlags) Validate() error { return checkAttributes(f.Attr) }

// checkAttributes refuses what names no attribute, and one that is given twice.
func checkAttributes(texts []string) error {
	seen := make(map[string]bool)
	for _, text := range texts {
		name, _, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return fmt.Errorf("--attr %q must be NAME=VALUE", text)
		}
		if seen[name] {
			return fmt.Errorf("--attr %s is given twice; keep one", name)
		}
		seen[name] = true
	}
	return nil
}

// roles are those of every flag.
func (f describedFlags) roles() []string {
	return strings.FieldsFunc(strings.Join(f.Role, ","), func(c rune) bool { return c == ',' || c == ' ' })
}

// attributes are those that were there, with what the flags say. An empty value removes
// one.
func (f describedFlags) attributes(before map[string]string) map[string]string {
	attributes := make(map[string]string)
	maps.Copy(attributes, before)
	for _, text := range f.Attr {
		name, value, _ := strings.Cut(text, "=")
		if attributes[name] = value; value == "" {
			delete(attributes, name)
		}
	}
	return attributes
}

// warnRoles tells of roles that give nothing by the configuration that is at hand.
func (p *process) warnRoles(u storage.User) {
	text := p.config.settings["roles"]
	table, err := rights.ParseRoleTable(text)
	if text == "" || err != nil { // another machine's file may have one
		return
	}
	for _, role := range u.Roles {
		if _, known := table[role]; !known {
			fmt.Fprintf(p.stderr, "latchkey: %s gives role %q no scope%s\n", cmp.Or(p.config.path, defaultConfig), role, suggest.DidYouMean(role, slices.Sorted(maps.Keys(table))))
		}
	}
}

// attributeList is attributes as people read them.
func attributeList(attributes map[string]string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		texts = append(texts, name+"="+printable(attributes[name]))
	}
	return strings.Join(texts, ", ")
}
