package iamtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// A condition compares a key of the request.
type condition struct {
	all      bool // ForAllValues: every value has to match, and none at all does
	key      string
	patterns []string
	wild     bool // StringLike
}

// parseConditions reads operators with their keys and values. All of them must hold.
func parseConditions(block map[string]map[string]oneOrMore) ([]condition, error) {
	var parsed []condition
	for operator, keys := range block {
		name, all := strings.CutPrefix(operator, "ForAllValues:")
		if name != "StringEquals" && name != "StringLike" {
			return nil, fmt.Errorf("condition operator %q is not known here", operator)
		}
		if len(keys) == 0 {
			return nil, fmt.Errorf("condition operator %q has no keys", operator)
		}
		for key, patterns := range keys {
			if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return strings.Contains(p, "${") }) {
				return nil, fmt.Errorf("condition on %s: no values, or a policy variable", key)
			}
			parsed = append(parsed, condition{all, key, patterns, name == "StringLike"})
		}
	}
	return parsed, nil
}

// meets reports whether all conditions hold for a request with these keys.
func meets(conditions []condition, keys map[string][]string) (bool, error) {
	for _, c := range conditions {
		values, known := keys[c.key]
		if !known {
			return false, fmt.Errorf("what %s is of the request is not known here", c.key)
		}
		holds, err := c.holds(values)
		if !holds || err != nil {
			return false, err
		}
	}
	return true, nil
}

// holds compares. IAM takes ForAllValues as true where there is no value, and refuses keys
// of several values without it.
func (c condition) holds(values []string) (bool, error) {
	if !c.all && len(values) > 1 {
		return false, fmt.Errorf("%s has %d values, and the operator is for one", c.key, len(values))
	}
	if !c.all && len(values) == 0 {
		return false, nil
	}
	for _, v := range values {
		matches := func(pattern string) bool { return pattern == v || c.wild && like(pattern, v) }
		if !slices.ContainsFunc(c.patterns, matches) {
			return false, nil
		}
	}
	return true, nil
}

// like matches * and ? as resources of policies do.
func like(pattern, value string) bool {
	if pattern == "" || value == "" {
		return pattern == value
	}
	doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": map[string]string{"Effect": "Allow", "Action": "*", "Resource": pattern}})
	if err != nil {
		return false
	}
	policy, err := gateway.ParsePolicy(doc)
	return err == nil && policy.Evaluate("any", value) == gateway.Allow
}
