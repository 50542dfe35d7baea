package main

import (
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/latchkey-auth/latchkey/internal/awstest"
)

// cmdAWS starts KMS, with the key alias/latchkey, Secrets Manager and the parameter store,
// and sets the variables by which they are found: aws.
func cmdAWS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: aws")
	}
	stored := &awstest.Secrets{KMSKeys: []string{"alias/latchkey"}}
	s, end := awstest.Start(stored.Answer)
	ts.Defer(end)
	for _, setting := range s.Env() {
		name, value, _ := strings.Cut(setting, "=")
		ts.Setenv(name, value)
	}
}

// cmdSetFrom sets a variable to what a file holds: setfrom NAME FILE.
func cmdSetFrom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setfrom NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}
