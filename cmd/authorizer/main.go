// Command authorizer is the Lambda authorizer alone: a bootstrap without
// database, password hashing, YAML or command line, because it stands in front
// of every request and a cold start pays for every byte.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

func main() {
	if os.Getenv(awslambda.EnvRuntimeAPI) == "" {
		fmt.Fprintln(os.Stderr, "authorizer: this is a bootstrap for AWS Lambda; on your machine run `latchkey offline` or `latchkey invoke authorizer`")
		os.Exit(2)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // little lives long here: 2 MB of memory less for no measurable time
	}
	awslambda.Main(func() (gateway.Function, error) {
		log, err := awslambda.NewLogger(os.Stderr, os.Getenv(awslambda.EnvAppName), os.Getenv(awslambda.EnvLevel))
		if err != nil {
			return nil, err
		}
		authorizer, err := awslambda.Authorizer(os.Getenv, log, remote)
		if err != nil {
			return nil, err
		}
		return authorizer.Handle, nil
	})
}
