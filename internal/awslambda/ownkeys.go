package awslambda

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

// ownKeys are the keys of latchkey's own tokens: fetched where there is an address, from a
// packed key set on, if there is one too; otherwise that alone.
func ownKeys(getenv func(string) string, log *slog.Logger, remote Remote) (latchkey.KeySet, error) {
	url := getenv(EnvJWKSURL)
	if url != "" && remote.Keys == nil {
		return nil, errors.New("LATCHKEY_JWKS_URL is set, and this bootstrap makes no connections: deploy authorizer-remote, or put the key set into the zip and its name into LATCHKEY_JWKS_FILE")
	}
	var doc []byte
	var source string
	if url == "" || getenv(EnvJWKS) != "" || getenv(EnvJWKSFile) != "" {
		var err error
		if doc, source, err = jwks(getenv); err != nil {
			return nil, err
		}
	}
	if url != "" {
		return remote.Keys(log)(issuers.Issuer{Name: issuers.OwnName, JWKSURI: url, JWKS: doc, AllowPrivate: getenv(EnvPrivate) == "true"})
	}
	keys, err := latchkey.ParseJWKS(doc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	for _, skipped := range keys.Skipped() {
		log.Info("a key of the key set is skipped: its tokens are refused", slog.String("source", source), slog.String("key", skipped.String()))
	}
	return keys, nil
}

// checkPrivate refuses a permission that nothing would use.
func checkPrivate(getenv func(string) string) error {
	switch value := getenv(EnvPrivate); {
	case value != "" && value != "true" && value != "false":
		return fmt.Errorf("LATCHKEY_JWKS_ALLOW_PRIVATE is %.40q: it must be true or false", value)
	case value == "true" && getenv(EnvJWKSURL) == "":
		return errors.New("LATCHKEY_JWKS_ALLOW_PRIVATE is set, and no key set is fetched: set LATCHKEY_JWKS_URL, or unset it")
	}
	return nil
}

func jwks(getenv func(string) string) (doc []byte, source string, err error) {
	inline, path := getenv(EnvJWKS), getenv(EnvJWKSFile)
	switch {
	case inline != "" && path != "":
		return nil, "", errors.New("LATCHKEY_JWKS and LATCHKEY_JWKS_FILE are both set; unset one")
	case strings.HasPrefix(inline, "http://"), strings.HasPrefix(inline, "https://"):
		return nil, "", errors.New("LATCHKEY_JWKS holds the key set itself, not its address: put the document there, or into the zip and its name into LATCHKEY_JWKS_FILE")
	case inline != "":
		return []byte(inline), EnvJWKS, nil
	case path != "":
		doc, err = textfile.ReadFile(path)
		if err != nil {
			return nil, "", fmt.Errorf("reading LATCHKEY_JWKS_FILE: %w", err)
		}
		return doc, path, nil
	}
	return nil, "", errors.New("no keys: set TOKEN_SECRET, or LATCHKEY_JWKS to the document that `latchkey keys export` prints, or LATCHKEY_JWKS_FILE to its name in the zip")
}
