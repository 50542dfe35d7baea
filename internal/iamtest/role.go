// Package iamtest is AWS IAM for tests: it judges requests by the policies of a role, as
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
// has it for one account, and tells which rights nobody has needed. What it does not know is
// an error.
//
// That AWS judges alike is not verified here: no account was asked.
package iamtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// A Request is an action on a resource, in IAM's words.
type Request struct {
	Action   string // "dynamodb:GetItem"
	Resource string // ARN
	// Keys are what conditions may ask of the request, each with its values. A key that is
	// not there at all is one that the test does not know.
	Keys map[string][]string
}

// A Role is what one may do, and what of it has been done. It may be used by several
// goroutines.
type Role struct {
	rights []right

	mu   sync.Mutex
	used map[int]bool // by the index of rights
}

// A right is a statement for one of its actions.
type right struct {
	name       string
	policy     gateway.Policy // the statement without its condition
	conditions []condition
}

// statement is one of a policy, as much as is said of it here.
type statement struct {
	Sid       string
	Effect    string
	Action    oneOrMore
	Resource  json.RawMessage
	Condition map[string]map[string]oneOrMore
}

// oneOrMore is a list that may be written without brackets where it has one element.
type oneOrMore []string

func (l *oneOrMore) UnmarshalJSON(doc []byte) error {
	if bytes.HasPrefix(doc, []byte("[")) {
		return json.Unmarshal(doc, (*[]string)(l))
	}
	*l = make([]string, 1)
	return json.Unmarshal(doc, &(*l)[0])
}

// NewRole reads the policies of a role.
func NewRole(documents ...json.RawMessage) (*Role, error) {
	r := &Role{used: make(map[int]bool)}
	for _, doc := range documents {
		var policy struct {
			Version   string
			Statement []statement
		}
		if err := strict(doc, &policy); err != nil {
			return nil, fmt.Errorf("reading a policy: %w", err)
		}
		for i, s := range policy.Statement {
			if err := r.add(policy.Version, s); err != nil {
				return nil, fmt.Errorf("statement %d, %s: %w", i+1, s.Sid, err)
			}
		}
	}
	return r, nil
}

func strict(doc []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (r *Role) add(version string, s statement) error {
	conditions, err := parseConditions(s.Condition)
	if err != nil {
		return err
	}
	if len(s.Action) == 0 {
		return errors.New("it has no Action")
	}
	for _, action := range s.Action {
		doc, err := json.Marshal(map[string]any{
			"Version": version, "Statement": map[string]any{"Effect": s.Effect, "Action": action, "Resource": s.Resource},
		})
		if err != nil {
			return err
		}
		policy, err := gateway.ParsePolicy(doc)
		if err != nil {
			return err
		}
		r.rights = append(r.rights, right{fmt.Sprintf("%s %s on %s", s.Effect, action, s.Resource), policy, conditions})
	}
	return nil
}

// Allows reports whether the role may: nothing denies it, and something allows it. Every
// right that speaks of the request counts as used.
func (r *Role) Allows(q Request) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	allowed, denied := false, false
	for i, one := range r.rights {
		decision := one.policy.Evaluate(q.Action, q.Resource)
		if decision == gateway.ImplicitDeny {
			continue
		}
		holds, err := meets(one.conditions, q.Keys)
		if err != nil {
			return false, fmt.Errorf("%s: %w", one.name, err)
		}
		if !holds {
			continue
		}
		r.used[i] = true
		allowed, denied = allowed || decision == gateway.Allow, denied || decision == gateway.ExplicitDeny
	}
	return allowed && !denied, nil
}

// Unused are the rights that no request has used.
func (r *Role) Unused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for i, one := range r.rights {
		if !r.used[i] {
			all = append(all, one.name)
		}
	}
	slices.Sort(all)
	return all
}
