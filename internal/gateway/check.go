package gateway

import (
	"slices"
	"strings"
)

// A Report is what [Table.Check] found.
type Report struct {
	Principals []PrincipalReport // every kind that can have other routes than the others
	Left       int               // kinds that were not looked at, because there are too many
	Requests   int               // that were asked, of every principal
	OverGrants []Finding         // what a policy allows and the table does not
	Missing    []Finding         // what the table grants and the policy does not
	Losses     []Finding         // the same where it is known: see [Table.Check]
}

// OK reports whether the policies are right.
func (r Report) OK() bool { return len(r.OverGrants)+len(r.Missing) == 0 }

// A PrincipalReport is a kind of principals and their policy.
type PrincipalReport struct {
	PrincipalKind
	Routes          int // that they may call, of those that are not public
	Allowed, Denied int // resources in the policy
	Bytes           int
}

// A Finding is a request for which policy and table differ.
type Finding struct {
	PrincipalKind
	Request string // GET /orders/x
	Route   Route  // that it leads to
	Why     string
}

// probeARN is the API and stage that checks ask for.
var probeARN = ARN{Partition: "aws", Region: "us-east-1", Account: "123456789012", API: "abcdef1234", Stage: "prod"}

// Check makes the policy of every kind of principals once, as API Gateway's cache keeps
// it, and asks it about every route: by ordinary paths, by paths whose parameters have
// the text of a literal or an encoded character, and by other spellings of them. That
// the last two kinds of paths may be denied to those who may call the route is a known
// loss; anything else that differs from the table is wrong.
func (t *Table) Check() (Report, error) {
	var r Report
	probes := t.probes()
	r.Requests = len(probes)
	kinds, left := t.kinds()
	r.Left = left
	for _, held := range kinds {
		if err := t.checkKind(&r, held, probes); err != nil {
			return Report{}, err
		}
	}
	return r, nil
}

func (t *Table) checkKind(r *Report, held set, probes []probe) error {
	g := t.grants(held)
	doc, err := encodePolicy(probeARN, Decision{Principal: "principal"}, g.Allowed, g.Denied)
	if err != nil {
		return err
	}
	policy, size, err := policyIn(doc)
	if err != nil {
		return err
	}
	kind := PrincipalReport{PrincipalKind: t.kindOf(held), Allowed: len(g.Allowed), Denied: len(g.Denied), Bytes: size}
	for i := range t.entries {
		if t.entries[i].admits(held) {
			kind.Routes++
		}
	}
	r.Principals = append(r.Principals, kind)
	for _, p := range probes {
		leads := &t.entries[p.leads]
		may := leads.admits(held)
		f := Finding{PrincipalKind: kind.PrincipalKind, Request: p.verb + " " + p.path, Route: leads.Route, Why: p.odd}
		for _, arn := range p.arns {
			allowed := policy.Evaluate(ActionInvoke, arn) == Allow
			switch {
			case allowed && !may:
				f.Why = "allowed as " + arn[len(probeARN.resources()):]
				r.OverGrants = append(r.OverGrants, f)
			case may && !allowed && p.odd == "" && !p.spelling:
				r.Missing = append(r.Missing, f)
			case may && !allowed && !p.spelling:
				r.addLoss(f)
			default:
				continue
			}
			break // one finding is enough
		}
	}
	return nil
}

// addLoss keeps one loss of each kind for a route: that of the fewest scopes.
func (r *Report) addLoss(f Finding) {
	if !slices.ContainsFunc(r.Losses, func(o Finding) bool { return o.Route.String() == f.Route.String() && covered(o.Why, f.Why) }) {
		r.Losses = append(r.Losses, f)
	}
}

// covered reports whether one reason for a loss says what another one does: if any
// encoded character is denied, those at the beginning of a part are.
func covered(by, why string) bool { return by == why || by == encodedAnywhere && why == encodedFirst }

const (
	encodedAnywhere = "the path has an encoded character"
	encodedFirst    = "a part begins with an encoded character"
)

// policyIn reads the policy document of an authorizer's answer as API Gateway does.
func policyIn(answer []byte) (Policy, int, error) {
	_, rest, _ := strings.Cut(string(answer), `"policyDocument":`)
	doc, _, _ := strings.Cut(rest, `,"context":`)
	p, err := ParsePolicy([]byte(doc))
	return p, len(doc), err
}
