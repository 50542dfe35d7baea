package iamtest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/iamtest"
)

const table = "arn:aws:dynamodb:eu-west-1:123456789012:table/t"

// role makes one of statements.
func role(t *testing.T, statements string) *iamtest.Role {
	t.Helper()
	r, err := iamtest.NewRole(json.RawMessage(`{"Version":"2012-10-17","Statement":[` + statements + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAllows(t *testing.T) {
	const (
		read    = `{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Query"],"Resource":"` + table + `"}`
		all     = `{"Effect":"Allow","Action":"dynamodb:*","Resource":["arn:aws:dynamodb:*:*:table/*"]}`
		deny    = `{"Effect":"Deny","Action":"dynamodb:GetItem","Resource":"*"}`
		leading = `{"Effect":"Allow","Action":"dynamodb:Query","Resource":"*","Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["a","b#*"]}}}`
		one     = `{"Effect":"Allow","Action":"ses:SendEmail","Resource":"*","Condition":{"StringEquals":{"ses:FromAddress":"a@example.com"}}}`
	)
	keys := func(values ...string) map[string][]string { return map[string][]string{"dynamodb:LeadingKeys": values} }
	from := func(values ...string) map[string][]string { return map[string][]string{"ses:FromAddress": values} }
	for name, test := range map[string]struct {
		statements, action, resource string
		keys                         map[string][]string
		want                         bool
	}{
		"an action of a list":             {read, "dynamodb:Query", table, nil, true},
		"in other case":                   {read, "DynamoDB:query", table, nil, true},
		"another action":                  {read, "dynamodb:PutItem", table, nil, false},
		"another resource":                {read, "dynamodb:Query", table + "2", nil, false},
		"an index of the table":           {read, "dynamodb:Query", table + "/index/i", nil, false},
		"wildcards":                       {all, "dynamodb:PutItem", table, nil, true},
		"wildcards, another service":      {all, "ssm:GetParameter", table, nil, false},
		"a denial wins":                   {all + "," + deny, "dynamodb:GetItem", table, nil, false},
		"a denial of something else":      {all + "," + deny, "dynamodb:Query", table, nil, true},
		"a key that is named":             {leading, "dynamodb:Query", table, keys("a"), true},
		"keys of which each matches":      {leading, "dynamodb:Query", table, keys("a", "b#1"), true},
		"keys of which one does not":      {leading, "dynamodb:Query", table, keys("a", "c"), false},
		"no keys":                         {leading, "dynamodb:Query", table, keys(), true},
		"StringEquals":                    {one, "ses:SendEmail", "i", from("a@example.com"), true},
		"StringEquals, another value":     {one, "ses:SendEmail", "i", from("b@example.com"), false},
		"StringEquals, without the value": {one, "ses:SendEmail", "i", from(), false},
	} {
		got, err := role(t, test.statements).Allows(iamtest.Request{Action: test.action, Resource: test.resource, Keys: test.keys})
		if err != nil || got != test.want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, test.want)
		}
	}
	for name, q := range map[string]iamtest.Request{
		"a key that the test does not tell": {Action: "dynamodb:Query", Resource: table},
		"several values for one":            {Action: "ses:SendEmail", Resource: "i", Keys: from("a@example.com", "b")},
	} {
		if got, err := role(t, leading+","+one).Allows(q); err == nil {
			t.Errorf("%s: %v, want an error", name, got)
		}
	}
}

func TestUnused(t *testing.T) {
	r := role(t, `{"Effect":"Allow","Action":["s:A","s:B"],"Resource":"*"},{"Effect":"Deny","Action":"s:C","Resource":"x"},{"Effect":"Allow","Action":"s:C","Resource":"x"}`)
	for _, action := range []string{"s:A", "s:C", "s:D"} {
		if _, err := r.Allows(iamtest.Request{Action: action, Resource: "y"}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := r.Unused(), []string{`Allow s:B on "*"`, `Allow s:C on "x"`, `Deny s:C on "x"`}; !slices.Equal(got, want) {
		t.Errorf("unused: %q, want %q", got, want)
	}
}

// TestUnknownPolicies: what cannot be judged is no right, and no lack of one.
func TestUnknownPolicies(t *testing.T) {
	for name, statement := range map[string]string{
		"an operator":        `{"Effect":"Allow","Action":"s:A","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`,
		"a variable":         `{"Effect":"Allow","Action":"s:A","Resource":"*","Condition":{"StringEquals":{"aws:username":"${aws:username}"}}}`,
		"an empty condition": `{"Effect":"Allow","Action":"s:A","Resource":"*","Condition":{"StringEquals":{}}}`,
		"NotAction":          `{"Effect":"Allow","NotAction":"s:A","Resource":"*"}`,
		"a principal":        `{"Effect":"Allow","Action":"s:A","Resource":"*","Principal":"*"}`,
		"no resource":        `{"Effect":"Allow","Action":"s:A"}`,
		"no action":          `{"Effect":"Allow","Resource":"*"}`,
		"an effect":          `{"Effect":"allow","Action":"s:A","Resource":"*"}`,
	} {
		if _, err := iamtest.NewRole(json.RawMessage(`{"Version":"2012-10-17","Statement":[` + statement + `]}`)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestNeeds(t *testing.T) {
	place := iamtest.Place{Region: "eu-west-1", Account: "123456789012"}
	const named = `"TableName":"t","ExpressionAttributeNames":{"#PK":"PK","#SK":"SK"},"ExpressionAttributeValues":{":pk":{"S":"p"}}`
	for name, test := range map[string]struct{ service, operation, body, want string }{
		"one item":    {"dynamodb", "UpdateItem", `{"TableName":"t","Key":{"PK":{"S":"p"},"SK":{"S":"s"}}}`, "dynamodb:UpdateItem " + table + " [p]"},
		"a new item":  {"dynamodb", "PutItem", `{"TableName":"t","Item":{"PK":{"S":"p"}}}`, "dynamodb:PutItem " + table + " [p]"},
		"a query":     {"dynamodb", "Query", `{"KeyConditionExpression":"#PK = :pk AND #SK >= :first",` + named + `}`, "dynamodb:Query " + table + " [p]"},
		"a batch":     {"dynamodb", "BatchGetItem", `{"RequestItems":{"t":{"Keys":[{"PK":{"S":"p"}},{"PK":{"S":"q"}}]}}}`, "dynamodb:BatchGetItem " + table + " [p q]"},
		"transaction": {"dynamodb", "TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"t","Item":{"PK":{"S":"p"}}}},{"ConditionCheck":{"TableName":"t","Key":{"PK":{"S":"q"}}}}]}`, "dynamodb:PutItem " + table + " [p], dynamodb:ConditionCheckItem " + table + " [q]"},
		"parameter":   {"ssm", "GetParameter", `{"Name":"/a/b"}`, "ssm:GetParameter arn:aws:ssm:eu-west-1:123456789012:parameter/a/b []"},
		"log":         {"logs", "PutLogEvents", `{"logGroupName":"g","logStreamName":"s"}`, "logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:g:log-stream:s []"},
		"mail": {"ses", "POST /v2/email/outbound-emails", `{"FromEmailAddress":"a@example.com","Content":{"Raw":{"Data":""}}}`,
			"ses:SendEmail arn:aws:ses:eu-west-1:123456789012:identity/a@example.com [], ses:SendRawEmail arn:aws:ses:eu-west-1:123456789012:identity/a@example.com []"},
		"a scan":              {"dynamodb", "Scan", `{}`, "not known here"},
		"a query of no key":   {"dynamodb", "Query", `{"KeyConditionExpression":"#SK = :pk",` + named + `}`, "does not begin with the partition key"},
		"a transaction's Get": {"dynamodb", "TransactWriteItems", `{"TransactItems":[{"Get":{"TableName":"t"}}]}`, "not known here"},
		"another service":     {"kms", "Decrypt", `{}`, "not known here"},
		"a message in parts":  {"ses", "POST /v2/email/outbound-emails", `{"Content":{"Simple":{}}}`, "not known here"},
	} {
		all, err := place.Needs(test.service, test.operation, []byte(test.body))
		var parts []string
		for _, q := range all {
			parts = append(parts, fmt.Sprintf("%s %s %v", q.Action, q.Resource, q.Keys["dynamodb:LeadingKeys"]))
		}
		got := strings.Join(parts, ", ")
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
