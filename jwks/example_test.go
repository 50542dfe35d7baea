package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/jwks"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// The issuer's discovery document names the key set. It is fetched when the first token
// is verified.
func ExampleDiscover() {
	issuer, token := startIssuer()
	defer issuer.Close()
	keys, err := jwks.Discover(issuer.URL, jwks.Config{AllowPrivate: true}) // for an issuer on the internet: jwks.Config{}
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: issuer.URL, Audience: latchkeytest.Audience})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verifier.Verify(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Subject)
	// Output: ada
}

// A snapshot serves from the start, so that tokens are verified while the issuer is
// away. Without one that is an outage, and no reason to call the token invalid.
func ExampleSet_Snapshot() {
	issuer, token := startIssuer()
	cfg := jwks.Config{AllowPrivate: true} // for an issuer on the internet: jwks.Config{}
	keys, err := jwks.Discover(issuer.URL, cfg)
	if err != nil {
		log.Fatal(err)
	}
	snapshot, err := keys.Snapshot(context.Background()) // store it with the deployment
	if err != nil {
		log.Fatal(err)
	}
	issuer.Close()

	for _, stored := range [][]byte{nil, snapshot} {
		cfg.Snapshot = stored
		keys, err := jwks.Discover(issuer.URL, cfg)
		if err != nil {
			log.Fatal(err)
		}
		verifier, err := latchkey.New(latchkey.Config{Keys: keys, Issuer: issuer.URL, Audience: latchkeytest.Audience})
		if err != nil {
			log.Fatal(err)
		}
		_, err = verifier.Verify(context.Background(), token)
		fmt.Println("verified:", err == nil, "invalid:", errors.Is(err, latchkey.ErrInvalidToken))
	}
	// Output:
	// verified: false invalid: false
	// verified: true invalid: false
}

// startIssuer starts an issuer on this machine, and returns a token of it.
func startIssuer() (server *httptest.Server, token string) {
	issuer := latchkeytest.NewIssuer(new(testing.T))
	keys := issuer.JWKS()
	server = httptest.NewUnstartedServer(nil)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":"%s","jwks_uri":"%s"}`, server.URL, keys)
	})
	server.Start()
	claims := latchkeytest.Claims("ada", "orders:read", time.Now())
	claims["iss"] = server.URL
	return server, issuer.Sign(claims)
}
