package httpauth_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/jwks"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// Guard an API with the tokens of Auth0: its keys by discovery, its spelling by a
// profile, scopes by route, and claims of one's own by name. Between the lines is
// all that it needs.
func Example() {
	auth0, sign := startIssuer()
	// ----
	keys, err := jwks.Discover(auth0, jwks.Config{AllowPrivate: true}) // the real one is public: jwks.Config{}
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := latchkey.New(latchkey.Config{Issuers: []latchkey.Issuer{{Name: "auth0", URL: auth0, Audiences: []string{"https://api.example.com"},
		Keys: keys, Profile: latchkey.Auth0(), Scopes: []string{"orders:read"}}}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", httpauth.Require(verifier, httpauth.WithScopes("orders:read"))(http.HandlerFunc(orders)))
	// ----

	for _, scope := range []string{"openid orders:read", "openid"} {
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+sign(scope))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 orders of auth0|ada, plan pro
	// 403 {"statusCode":403,"error":"Forbidden","message":"Forbidden"}
}

func orders(w http.ResponseWriter, r *http.Request) {
	claims, _ := httpauth.ClaimsFrom(r.Context())
	var mine struct {
		Plan string `json:"https://shop.example.com/plan"`
	}
	if err := claims.Decode(&mine); err != nil {
		http.Error(w, "unusable claims", http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, "orders of %s, plan %s", claims.Principal(), mine.Plan)
}

// startIssuer starts a server that issues tokens as Auth0 does, for the example.
func startIssuer() (url string, sign func(scope string) string) {
	issuer := latchkeytest.NewIssuer(new(testing.T))
	keys := issuer.JWKS()
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":"%s/","jwks_uri":"%s"}`, server.URL, keys)
	})
	server.Start()
	url = server.URL + "/"
	return url, func(scope string) string {
		claims := latchkeytest.Claims("ada", scope, time.Now())
		claims["iss"], claims["azp"], claims["https://shop.example.com/plan"] = url, "web", "pro"
		return issuer.Sign(claims)
	}
}
