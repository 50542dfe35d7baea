//go:build remote

package main

import (
	"log/slog"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	keysets "github.com/latchkey-auth/latchkey/internal/issuers/remote"
	"github.com/latchkey-auth/latchkey/internal/revocationsource"
)

// remote fetches key sets and revocations within the call that needs them: Lambda
// freezes the rest.
var remote = awslambda.Remote{
	Keys:        func(log *slog.Logger) issuers.KeySource { return keysets.Keys(log, true) },
	Revocations: revocationsource.FromEnvironment,
}
