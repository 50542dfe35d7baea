// Package remote makes key sets of issuers that are fetched. It is a package of its own
// because it links net/http.
package remote

import (
	"log/slog"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/jwks"
)

// Keys is the key source of programs that may fetch. Inline is for those that are frozen
// between calls, see [jwks.Config].
func Keys(log *slog.Logger, inline bool) issuers.KeySource {
	return func(i issuers.Issuer) (latchkey.KeySet, error) {
		if i.Pinned {
			return issuers.Pinned(i)
		}
		return Set(i, log, inline)
	}
}

// Set is the key set of an issuer whose keys are not pinned.
func Set(i issuers.Issuer, log *slog.Logger, inline bool) (*jwks.Set, error) {
	cfg := jwks.Config{AllowPrivate: i.AllowPrivate, Snapshot: i.JWKS, Inline: inline, Log: log}
	if i.JWKSURI != "" {
		return jwks.Remote(i.JWKSURI, cfg)
	}
	return jwks.Discover(i.URL, cfg)
}
