package gateway_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

const (
	arnHead = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/"
	dev     = arnHead + "dev/"
)

// policy wraps statements into a document.
func policy(statements string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":%s}`, statements)
}

// statement allows or denies invoking a resource.
func statement(effect, resource string) string {
	return fmt.Sprintf(`{"Effect":%q,"Action":"execute-api:Invoke","Resource":%q}`, effect, resource)
}

func TestPolicyResources(t *testing.T) {
	tests := []struct {
		says     string
		resource string
		arn      string
		want     gateway.EvalDecision
	}{
		{"the same", dev + "GET/users", dev + "GET/users", gateway.Allow},
		{"anchored at the end", dev + "GET/users", dev + "GET/users/7", gateway.ImplicitDeny},
		{"anchored at the start", "GET/users", dev + "GET/users", gateway.ImplicitDeny},
		{"another stage with the name at its end", arnHead + "v/GET/*", arnHead + "dev/GET/x", gateway.ImplicitDeny},
		{"* crosses slashes", dev + "GET/users/*", dev + "GET/users/7/cards", gateway.Allow},
		{"* crosses colons", "arn:aws:execute-api:*/dev/GET/users", dev + "GET/users", gateway.Allow},
		{"* is nothing at all", dev + "GET/users/*", dev + "GET/users/", gateway.Allow},
		{"* does not take the slash before it", dev + "GET/users/*", dev + "GET/users", gateway.ImplicitDeny},
		{"* in the middle crosses slashes", dev + "GET/*/me", dev + "GET/a/b/me", gateway.Allow},
		{"* for the verb reaches into the path", dev + "*/users/me", dev + "GET/admin/users/me", gateway.Allow},
		{"* inside a word", "arn:aws:execute-api:us-*:123456789012:abcdef1234/dev/GET/x", dev + "GET/x", gateway.Allow},
		{"* alone", "*", dev + "GET/x", gateway.Allow},
		{"*** is *", dev + "***", dev + "GET/x", gateway.Allow},
		{"? is one character", dev + "GET/v?", dev + "GET/v1", gateway.Allow},
		{"? is not none", dev + "GET/v?", dev + "GET/v", gateway.ImplicitDeny},
		{"? is not two", dev + "GET/v?", dev + "GET/v10", gateway.ImplicitDeny},
		{"? takes a slash", dev + "GET/a?b", dev + "GET/a/b", gateway.Allow},
		{"*? needs one", dev + "GET/a/*?", dev + "GET/a/", gateway.ImplicitDeny},
		{"paths are case-sensitive", dev + "GET/Users", dev + "GET/users", gateway.ImplicitDeny},
		{"verbs are case-sensitive", dev + "get/users", dev + "GET/users", gateway.ImplicitDeny},
		{". is a dot", dev + "GET/v1.0", dev + "GET/v1a0", gateway.ImplicitDeny},
		{". is a dot that matches", dev + "GET/v1.0", dev + "GET/v1.0", gateway.Allow},
		{"+ is a plus", dev + "GET/a+", dev + "GET/aaa", gateway.ImplicitDeny},
		{"( is a parenthesis", dev + "GET/a(b)", dev + "GET/a(b)", gateway.Allow},
		{"[ is a bracket", dev + "GET/[ab]", dev + "GET/a", gateway.ImplicitDeny},
		{"| is a bar", dev + "GET/a|", dev + "GET/a", gateway.ImplicitDeny},
		{"^ and $ are themselves", "^" + dev + "GET/a$", dev + "GET/a", gateway.ImplicitDeny},
		{`\ escapes nothing`, dev + `GET/\*`, dev + `GET/*`, gateway.ImplicitDeny},
		{"$default is a name", arnHead + "$default/GET/a", arnHead + "$default/GET/a", gateway.Allow},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			p, err := gateway.ParsePolicy([]byte(policy(statement("Allow", test.resource))))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Evaluate(gateway.ActionInvoke, test.arn); got != test.want {
				t.Errorf("resource %s, asked for %s: %v, want %v", test.resource, test.arn, got, test.want)
			}
		})
	}
}

func TestPolicyStatements(t *testing.T) {
	const users = dev + "GET/users"
	tests := map[string]struct {
		statements string
		want       gateway.EvalDecision
	}{
		"deny after allow":             {"[" + statement("Allow", "*") + "," + statement("Deny", users) + "]", gateway.ExplicitDeny},
		"deny before allow":            {"[" + statement("Deny", users) + "," + statement("Allow", "*") + "]", gateway.ExplicitDeny},
		"deny of something else":       {"[" + statement("Deny", dev+"GET/admin") + "," + statement("Allow", users) + "]", gateway.Allow},
		"one statement, no list":       {statement("Allow", users), gateway.Allow},
		"a list of resources":          {`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":["` + dev + `GET/a","` + users + `"]}`, gateway.Allow},
		"a list of actions":            {`{"Effect":"Allow","Action":["s3:Get*","execute-api:Invoke"],"Resource":"*"}`, gateway.Allow},
		"an action of another service": {`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`, gateway.ImplicitDeny},
		"all actions of the service":   {`{"Effect":"Allow","Action":"execute-api:*","Resource":"*"}`, gateway.Allow},
		"any action":                   {`{"Effect":"Allow","Action":"*","Resource":"*"}`, gateway.Allow},
		"an action with ?":             {`{"Effect":"Allow","Action":"execute-api:Invok?","Resource":"*"}`, gateway.Allow},
		"part of the action":           {`{"Effect":"Allow","Action":"execute-api","Resource":"*"}`, gateway.ImplicitDeny},
		"an action in another case":    {`{"Effect":"Allow","Action":"Execute-API:invoke","Resource":"*"}`, gateway.Allow},
		"not another action":           {`{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}`, gateway.Allow},
		"not this action":              {`{"Effect":"Allow","NotAction":"execute-api:*","Resource":"*"}`, gateway.ImplicitDeny},
		"not another resource":         {`{"Effect":"Allow","Action":"*","NotResource":"` + dev + `GET/admin"}`, gateway.Allow},
		"not this resource":            {`{"Effect":"Allow","Action":"*","NotResource":["x","` + users + `"]}`, gateway.ImplicitDeny},
		"deny all but this resource":   {"[" + statement("Allow", "*") + `,{"Effect":"Deny","Action":"*","NotResource":"` + users + `"}]`, gateway.Allow},
		"deny all but another one":     {"[" + statement("Allow", "*") + `,{"Effect":"Deny","Action":"*","NotResource":"` + dev + `GET/a"}]`, gateway.ExplicitDeny},
		"a Sid is only a name":         {`{"Sid":"one","Effect":"Allow","Action":"*","Resource":"*"}`, gateway.Allow},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := gateway.ParsePolicy([]byte(policy(test.statements)))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Evaluate(gateway.ActionInvoke, users); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	tests := map[string]struct{ doc, says string }{
		"nothing":                 {``, "parsing policy"},
		"null":                    {`null`, "version"},
		"a list":                  {`[]`, "parsing policy"},
		"a second document":       {policy(statement("Allow", "*")) + `{}`, "something follows"},
		"no version":              {`{"Statement":` + statement("Allow", "*") + `}`, "version"},
		"a version of the future": {`{"Version":"2032-10-17","Statement":` + statement("Allow", "*") + `}`, "version"},
		"no statement":            {`{"Version":"2012-10-17"}`, "no statement"},
		"an empty list":           {policy(`[]`), "no statement"},
		"null for a statement":    {policy(`null`), "effect"},
		"text for a statement":    {policy(`"Allow"`), "parsing policy"},
		"an effect in lower case": {policy(statement("allow", "*")), "effect"},
		"no effect":               {policy(`{"Action":"*","Resource":"*"}`), "effect"},
		"a condition": {policy(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`),
			"conditions cannot be evaluated"},
		"an empty condition":        {policy(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}`), "conditions cannot be evaluated"},
		"a misspelt condition":      {policy(`{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{"Bool":{}}}`), "unknown field"},
		"an unknown member":         {`{"Version":"2012-10-17","Statment":[],"Statement":` + statement("Allow", "*") + `}`, "unknown field"},
		"a principal":               {policy(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`), "unknown field"},
		"no action":                 {policy(`{"Effect":"Allow","Resource":"*"}`), "Action and NotAction"},
		"both kinds of action":      {policy(`{"Effect":"Allow","Action":"a:b","NotAction":"c:d","Resource":"*"}`), "Action and NotAction"},
		"no resource":               {policy(`{"Effect":"Allow","Action":"*"}`), "Resource and NotResource"},
		"both kinds of resource":    {policy(`{"Effect":"Allow","Action":"*","Resource":"a","NotResource":"b"}`), "Resource and NotResource"},
		"an empty list of actions":  {policy(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "Action and NotAction"},
		"a number for a resource":   {policy(`{"Effect":"Allow","Action":"*","Resource":7}`), "parsing policy"},
		"null for what is excepted": {policy(`{"Effect":"Allow","Action":"*","NotResource":null}`), "is empty"},
		"an empty resource":         {policy(`{"Effect":"Allow","Action":"*","NotResource":["a",""]}`), "is empty"},
		"a policy variable":         {policy(`{"Effect":"Deny","Action":"*","Resource":"` + dev + `GET/${aws:username}"}`), "variables"},
		"the second of two":         {policy("[" + statement("Allow", "*") + "," + statement("Maybe", "*") + "]"), "statement 2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := gateway.ParsePolicy([]byte(test.doc))
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
}

// A matcher that tries every way to divide the text takes longer than the
// universe has existed for these.
func TestPolicyPathologicalPatternsAreFast(t *testing.T) {
	pattern := strings.Repeat("*a", 200) + "*b"
	p, err := gateway.ParsePolicy([]byte(policy(statement("Allow", pattern))))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Evaluate(gateway.ActionInvoke, strings.Repeat("a", 1600)); got != gateway.ImplicitDeny {
		t.Errorf("got %v, want an implicit deny", got)
	}
	if got := p.Evaluate(gateway.ActionInvoke, strings.Repeat("a", 1600)+"b"); got != gateway.Allow {
		t.Errorf("got %v, want allow", got)
	}
	costtest.Linear(t, 200, func(n int) string { return strings.Repeat("a", n) }, func(text string) { p.Evaluate(gateway.ActionInvoke, text) })
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(policy(statement("Allow", dev+"GET/*")), dev+"GET/x")
	f.Add(policy("["+statement("Allow", "*")+","+statement("Deny", dev+"GET/?")+"]"), dev+"GET/x")
	f.Add(policy(`{"Effect":"Deny","NotAction":["s3:*"],"NotResource":[]}`), "")
	f.Fuzz(func(t *testing.T, doc, arn string) {
		p, err := gateway.ParsePolicy([]byte(doc))
		if err != nil {
			return
		}
		var v any
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatalf("taken, but no JSON: %v", err)
		}
		if hasMember(v, "Condition") {
			t.Errorf("a condition was taken: %s", doc)
		}
		if d := p.Evaluate(gateway.ActionInvoke, arn); d == gateway.Allow && !strings.Contains(doc, "Allow") && !strings.Contains(doc, `\u`) {
			t.Errorf("allowed by a policy without Allow: %s", doc)
		}
	})
}

// hasMember looks for a member of the name in every object of v.
func hasMember(v any, name string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(v any) bool { return hasMember(v, name) })
	case map[string]any:
		for n, v := range v {
			if n == name || hasMember(v, name) {
				return true
			}
		}
	}
	return false
}
