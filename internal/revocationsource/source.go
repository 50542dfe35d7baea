// Package revocationsource opens what an authorizer on Lambda reads with what has ended:
// the feed of the auth service, or the table of package dynamo.
//
// The table takes two operations, Query and BatchGetItem. The SDK would make the
// bootstrap 4 MB larger, and a cold start pays for every byte. So their requests are
// signed and written here, and nowhere else; a test holds them against what package
// dynamo writes.
package revocationsource

import (
	"errors"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/revocation"
	"github.com/latchkey-auth/latchkey/revocation/feed"
)

// Config is what Open needs.
type Config struct {
	// Address is https://HOST/revocations, or dynamodb://TABLE?region=…&endpoint=…: the
	// region is that of the function where it is missing, the endpoint that of
	// AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, or AWS's own.
	Address string
	// Key is that of the feed; a table needs none.
	Key string
	// Getenv has the variables of Lambda: AWS_REGION, endpoints, the credentials of its role.
	Getenv func(string) string
	// OldTokens: tokens of the system before are taken, which live for two weeks.
	OldTokens bool

	Now func() time.Time // nil: time.Now
}

// Open checks the configuration. It asks nothing yet.
func Open(cfg Config) (revocation.Source, error) {
	u, err := url.Parse(cfg.Address)
	switch {
	case err != nil:
		return nil, errors.New("the address is not a URL") // the error quotes it
	case u.Scheme == "dynamodb" && cfg.Key != "":
		return nil, errors.New("a table needs no LATCHKEY_REVOCATION_KEY; unset it, the function's role is enough")
	case u.Scheme == "dynamodb":
		return openTable(cfg)
	case u.Scheme == "https" || u.Scheme == "http":
		return feed.New(feed.Config{URL: cfg.Address, Key: cfg.Key})
	}
	return nil, errors.New("the address must be like https://auth.example.com/revocations or dynamodb://latchkey?region=eu-central-1")
}

// FromEnvironment opens the source at an address by the variables of the authorizer.
func FromEnvironment(address string, getenv func(string) string) (revocation.Source, error) {
	return Open(Config{Address: address, Key: getenv("LATCHKEY_REVOCATION_KEY"), Getenv: getenv, OldTokens: getenv("TOKEN_SECRET") != ""})
}
