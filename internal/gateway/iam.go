package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ActionInvoke is what a caller of an API does, in IAM's words.
const ActionInvoke = "execute-api:Invoke"

// An EvalDecision is what a policy says of one action, in the words of IAM's policy
// simulator.
type EvalDecision int

// The outcomes of an evaluation. An explicit Deny wins over any Allow.
const (
	ImplicitDeny EvalDecision = iota
	Allow
	ExplicitDeny
)

// A Policy is an IAM policy document.
type Policy struct {
	statements []statement
}

type statement struct {
	allow       bool
	action      []string
	notAction   bool
	resource    []string
	notResource bool
}

// document and rawStatement are the JSON of a policy: lists of one element may
// be written without brackets.
type document struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMore[rawStatement]
}

type rawStatement struct {
	Sid         string
	Effect      string
	Action      oneOrMore[string]
	NotAction   oneOrMore[string]
	Resource    oneOrMore[string]
	NotResource oneOrMore[string]
	Condition   json.RawMessage
}

type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(doc []byte) error {
	if len(doc) > 0 && doc[0] == '[' {
		return unmarshalKnown(doc, (*[]T)(l))
	}
	var one T
	if err := unmarshalKnown(doc, &one); err != nil {
		return err
	}
	*l = []T{one}
	return nil
}

// unmarshalKnown refuses members that v does not have.
func unmarshalKnown(doc []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the document")
	}
	return nil
}

// ParsePolicy reads a policy document. What it cannot evaluate it refuses,
// Conditions above all, however they are misspelt: leaving one out would turn
// "allow if" into "allow".
func ParsePolicy(doc []byte) (Policy, error) {
	var d document
	if err := unmarshalKnown(doc, &d); err != nil {
		return Policy{}, fmt.Errorf("parsing policy: %w", err)
	}
	if d.Version != "2012-10-17" && d.Version != "2008-10-17" {
		return Policy{}, fmt.Errorf("policy version %q: must be 2012-10-17", d.Version)
	}
	if len(d.Statement) == 0 {
		return Policy{}, errors.New("policy has no statement")
	}
	var p Policy
	for i, raw := range d.Statement {
		s, err := raw.parse()
		if err != nil {
			return Policy{}, fmt.Errorf("policy statement %d: %w", i+1, err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func (r rawStatement) parse() (statement, error) {
	switch {
	case r.Effect != "Allow" && r.Effect != "Deny":
		return statement{}, fmt.Errorf("effect %q: must be Allow or Deny", r.Effect)
	case len(r.Condition) > 0:
		return statement{}, errors.New("conditions cannot be evaluated here")
	case (len(r.Action) == 0) == (len(r.NotAction) == 0):
		return statement{}, errors.New("must have one of Action and NotAction")
	case (len(r.Resource) == 0) == (len(r.NotResource) == 0):
		return statement{}, errors.New("must have one of Resource and NotResource")
	}
	s := statement{allow: r.Effect == "Allow", action: r.Action, resource: r.Resource}
	if len(r.NotAction) > 0 {
		s.action, s.notAction = r.NotAction, true
	}
	if len(r.NotResource) > 0 {
		s.resource, s.notResource = r.NotResource, true
	}
	for _, pattern := range slices.Concat(s.action, s.resource) {
		switch {
		case pattern == "":
			return statement{}, errors.New("an action or resource is empty")
		case strings.Contains(pattern, "${"):
			return statement{}, errors.New("policy variables cannot be evaluated here")
		}
	}
	return s, nil
}

// Evaluate says whether the policy allows the action on the resource.
func (p Policy) Evaluate(action, resource string) EvalDecision {
	d := ImplicitDeny
	for _, s := range p.statements {
		if !s.covers(action, resource) {
			continue
		}
		if !s.allow {
			return ExplicitDeny
		}
		d = Allow
	}
	return d
}

// covers compares actions without regard to case, as IAM does, and resources
// with it.
func (s statement) covers(action, resource string) bool {
	resourceMatches := slices.ContainsFunc(s.resource, func(pattern string) bool { return glob(pattern, resource) })
	if resourceMatches == s.notResource {
		return false
	}
	actionMatches := slices.ContainsFunc(s.action, func(pattern string) bool {
		return glob(strings.ToLower(pattern), strings.ToLower(action))
	})
	return actionMatches != s.notAction
}

// glob matches the whole of s: "*" stands for any characters, slashes, colons
// and none at all included, "?" for exactly one.
func glob(pattern, s string) bool {
	star, retry := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
