// Command authorizer is the Lambda authorizer alone: a bootstrap without
// database, password hashing, YAML or command line, because it stands in front
// of every request and a cold start pays for every byte.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
)

func main() {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		fmt.Fprintln(os.Stderr, "authorizer: this is a bootstrap for AWS Lambda; on your machine run `latchkey offline` or `latchkey invoke authorizer`")
		os.Exit(2)
	}
	log, err := awslambda.NewLogger(os.Stderr, os.Getenv(awslambda.EnvAppName), os.Getenv(awslambda.EnvLevel))
	if err != nil {
		fmt.Fprintln(os.Stderr, "authorizer:", err)
		os.Exit(1)
	}
	authorizer, err := awslambda.Authorizer(os.Getenv, log)
	if err != nil {
		log.Error("cannot start", slog.String("error", err.Error()))
		os.Exit(1)
	}
	awslambda.Start(authorizer.Handle)
}
