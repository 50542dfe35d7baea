package latchkey_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/latchkey-auth/latchkey"
)

const exampleKeys = `{"keys":[
	{"kid":"2027-01","use":"sig","alg":"EdDSA","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
	{"kid":"for-mail","use":"enc","kty":"RSA","n":"AQAB","e":"AQAB"}
]}`

const exampleToken = "eyJhbGciOiJFZERTQSIsImtpZCI6IjIwMjctMDEiLCJ0eXAiOiJhdCtqd3QifQ." +
	"eyJpc3MiOiJodHRwczovL2F1dGguZXhhbXBsZS5jb20iLCJzdWIiOiJ1LTQyIiwiYXVkIjoiaHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20iLCJleHAiOjE4MDAwMDA2MDAs" +
	"ImlhdCI6MTc5OTk5OTcwMCwidXNlcm5hbWUiOiJhZGEiLCJzY29wZSI6Im9yZGVyczpyZWFkIG9yZGVyczp3cml0ZSJ9." +
	"ndvmrEMg83akMEmyHRKDRR4yv309Wrb-p2LBvMkMaKzPQx2-YkAMaFDJQVtVtPAyXufHLElg5Opself02drJAA"

// exampleTime is when the example's tokens are good.
func exampleTime() time.Time { return time.Unix(1800000000, 0) }

func ExampleNew() {
	keys, err := latchkey.ParseJWKS([]byte(exampleKeys))
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := latchkey.New(latchkey.Config{
		Keys:     keys,
		Issuer:   "https://auth.example.com",
		Audience: "https://api.example.com",
		Leeway:   30 * time.Second,
		Now:      exampleTime, // leave it out in a real program
	})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verifier.Verify(context.Background(), exampleToken)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Subject, "may write orders:", claims.HasScope("orders:write"))
	// Output: u-42 may write orders: true
}

// unreachable is a key set that cannot be read just now.
type unreachable struct{}

func (unreachable) Key(context.Context, string, latchkey.Algorithm) (*latchkey.Key, error) {
	return nil, errors.New("keys.example.com: connection refused")
}

// A token that is not good is the client's affair; keys that cannot be read are
// ours, and no reason to throw a token away.
func ExampleVerifier_Verify() {
	keys, err := latchkey.ParseJWKS([]byte(exampleKeys))
	if err != nil {
		log.Fatal(err)
	}
	status := func(keys latchkey.KeySet, token string) int {
		verifier, err := latchkey.New(latchkey.Config{
			Keys:     keys,
			Issuer:   "https://auth.example.com",
			Audience: "https://api.example.com",
			Now:      exampleTime,
		})
		if err != nil {
			log.Fatal(err)
		}
		_, err = verifier.Verify(context.Background(), token)
		var refusal *latchkey.TokenError
		switch {
		case errors.As(err, &refusal): // also matches latchkey.ErrInvalidToken
			fmt.Println("for the log:", refusal.Check, "-", refusal.Detail)
			return 401
		case err != nil:
			fmt.Println("for the log:", err)
			return 503
		}
		return 200
	}
	fmt.Println(status(keys, exampleToken))
	fmt.Println(status(keys, exampleToken+"A"))
	fmt.Println(status(unreachable{}, exampleToken))
	// Output:
	// 200
	// for the log: signature - does not match
	// 401
	// for the log: looking up key: keys.example.com: connection refused
	// 503
}

// The tokens of an older system: HS256 with a secret that both sides know, and
// the user in an object of its own.
func ExampleNewHMACKey() {
	key, err := latchkey.NewHMACKey("", []byte("correct horse battery staple, and so on"))
	if err != nil {
		log.Fatal(err)
	}
	keys, err := latchkey.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := latchkey.New(latchkey.Config{
		Keys:   keys,
		Legacy: true,
		Now:    exampleTime,
	})
	if err != nil {
		log.Fatal(err)
	}
	const token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9." +
		"eyJleHAiOjE4MDAwMDA2MDAsImlhdCI6MTc5OTk5OTcwMCwic3ViIjoidS00MiIsInVzZXIiOnsidXNlcm5hbWUiOiJhZGEiLCJuYW1lIjoiQWRhIiwic2NvcGUiOiJ1c2VyIn19." +
		"murA4BUyhglzB6-FyMd7dgNrJDj6JgFK_doo0O1ZRzA"
	claims, err := verifier.Verify(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Subject, claims.Username, claims.Scope)
	// Output: u-42 ada user
}

// Keys for other uses are skipped; a private key in the set is refused.
func ExampleParseJWKS() {
	keys, err := latchkey.ParseJWKS([]byte(exampleKeys))
	if err != nil {
		log.Fatal(err)
	}
	key, err := keys.Key(context.Background(), "2027-01", latchkey.EdDSA)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(keys.Len(), key.Algorithm(), latchkey.Thumbprint(key))

	_, err = latchkey.ParseJWKS([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","d":"AQAB"}]}`))
	fmt.Println(err)
	// Output:
	// 1 EdDSA kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
	// parsing key set: key 1: member "d" belongs to a private or secret key; publish public keys only
}
