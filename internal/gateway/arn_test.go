package gateway_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func TestParseARN(t *testing.T) {
	const head = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/"
	aws := gateway.ARN{Partition: "aws", Region: "us-east-1", Account: "123456789012", API: "abcdef1234", Stage: "prod"}
	tests := map[string]struct {
		arn  string
		want func(gateway.ARN) gateway.ARN
	}{
		"a path of two parts":      {head + "GET/orders/42", func(a gateway.ARN) gateway.ARN { a.Method, a.Path = "GET", "orders/42"; return a }},
		"the root":                 {head + "GET/", func(a gateway.ARN) gateway.ARN { a.Method = "GET"; return a }},
		"colons in the path":       {head + "GET/a:b:c/d:e", func(a gateway.ARN) gateway.ARN { a.Method, a.Path = "GET", "a:b:c/d:e"; return a }},
		"an ARN in the path":       {head + "GET/" + head + "PUT/x", func(a gateway.ARN) gateway.ARN { a.Method, a.Path = "GET", head+"PUT/x"; return a }},
		"many slashes in the path": {head + "GET/a//b///", func(a gateway.ARN) gateway.ARN { a.Method, a.Path = "GET", "a//b///"; return a }},
		"a wildcard in the path":   {head + "GET/a/*/?", func(a gateway.ARN) gateway.ARN { a.Method, a.Path = "GET", "a/*/?"; return a }},
		"China": {"arn:aws-cn:execute-api:cn-north-1:123456789012:abcdef1234/prod/GET/x", func(a gateway.ARN) gateway.ARN {
			a.Partition, a.Region, a.Method, a.Path = "aws-cn", "cn-north-1", "GET", "x"
			return a
		}},
		"the default stage": {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/$default/GET/x", func(a gateway.ARN) gateway.ARN {
			a.Stage, a.Method, a.Path = "$default", "GET", "x"
			return a
		}},
		"a WebSocket connection":  {head + "$connect", func(a gateway.ARN) gateway.ARN { a.RouteKey = "$connect"; return a }},
		"the end of a connection": {head + "$disconnect", func(a gateway.ARN) gateway.ARN { a.RouteKey = "$disconnect"; return a }},
		"the default route":       {head + "$default", func(a gateway.ARN) gateway.ARN { a.RouteKey = "$default"; return a }},
		"the default route of its stage": {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/$default/$default", func(a gateway.ARN) gateway.ARN {
			a.Stage, a.RouteKey = "$default", "$default"
			return a
		}},
		"a path like a route key": {head + "GET/$connect", func(a gateway.ARN) gateway.ARN { a.Method, a.Path = "GET", "$connect"; return a }},
		"a sample's stage": {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/*/GET/x", func(a gateway.ARN) gateway.ARN {
			a.Stage, a.Method, a.Path = "*", "GET", "x"
			return a
		}},
		"1600 bytes": {head + "GET/" + strings.Repeat("a", 1600-len(head)-4), func(a gateway.ARN) gateway.ARN {
			a.Method, a.Path = "GET", strings.Repeat("a", 1600-len(head)-4)
			return a
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := gateway.ParseARN(test.arn)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want(aws), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.String() != test.arn {
				t.Errorf("String() = %q, want %q", got.String(), test.arn)
			}
		})
	}
}

func TestParseARNRefuses(t *testing.T) {
	tests := map[string]struct{ arn, says string }{
		"nothing":                   {"", "must have the form"},
		"another service":           {"arn:aws:s3:us-east-1:123456789012:abcdef1234/prod/GET/x", "must have the form"},
		"no arn":                    {"urn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/x", "must have the form"},
		"five parts":                {"arn:aws:execute-api:us-east-1:abcdef1234/prod/GET/x", "must have the form"},
		"a route key of one's own":  {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/sendMessage", "must end with API/STAGE/VERB/PATH or API/STAGE/$ROUTEKEY"},
		"an unknown route key":      {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/$CONNECT", "must end with"},
		"any route key":             {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/*", "must end with"},
		"an empty route key":        {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/", "must end with"},
		"a route key and no stage":  {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/$connect", "must end with"},
		"a route key, empty stage":  {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234//$connect", "empty part or a wildcard"},
		"a route key, stage with ?": {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/pro?/$connect", "empty part or a wildcard"},
		"a route key, any API":      {"arn:aws:execute-api:us-east-1:123456789012:*/prod/$connect", "empty part or a wildcard"},
		"no slash after the verb":   {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET", "must end with API/STAGE/VERB/PATH"},
		"an empty partition":        {"arn::execute-api:us-east-1:123456789012:abcdef1234/prod/GET/x", "empty part or a wildcard"},
		"an empty stage":            {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234//GET/x", "empty part or a wildcard"},
		"an empty verb":             {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod//x", "empty part or a wildcard"},
		"a wildcard for the region": {"arn:aws:execute-api:*:123456789012:abcdef1234/prod/GET/x", "empty part or a wildcard"},
		"a wildcard in the account": {"arn:aws:execute-api:us-east-1:12345678901?:abcdef1234/prod/GET/x", "empty part or a wildcard"},
		"a wildcard for the API":    {"arn:aws:execute-api:us-east-1:123456789012:*/prod/GET/x", "empty part or a wildcard"},
		"two wildcards for a stage": {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/**/GET/x", "empty part or a wildcard"},
		"a wildcard in the stage":   {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod*/GET/x", "empty part or a wildcard"},
		"any one character":         {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/?/GET/x", "empty part or a wildcard"},
		"a wildcard for the verb":   {"arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/*/x", "empty part or a wildcard"},
		"1601 bytes":                {dev + "GET/" + strings.Repeat("a", 1601-len(dev)-4), "has 1601 bytes: must have 1600 at most"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := gateway.ParseARN(test.arn)
			if err == nil {
				t.Fatalf("taken as %+v", got)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/orders/42")
	f.Add("arn:aws-cn:execute-api:cn-north-1:123456789012:abcdef1234/$default/GET/a:b/c")
	f.Add("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/")
	f.Add("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/$connect")
	f.Add("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/$default/$default")
	f.Add("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/$connect/")
	f.Add("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/*/$disconnect")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := gateway.ParseARN(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Errorf("%q became %q", s, a.String())
		}
		if a.Stage != "*" && strings.ContainsAny(strings.TrimSuffix(s, a.Path), "*?") {
			t.Errorf("%q has a wildcard before its path", s)
		}
		if (a.Method == "") == (a.RouteKey == "") || a.RouteKey != "" && a.Path != "" {
			t.Errorf("%q is neither a method and path nor a route key: %+v", s, a)
		}
	})
}
