package feed_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/latchkeytest"
	"github.com/latchkey-auth/latchkey/revocation"
	"github.com/latchkey-auth/latchkey/revocation/feed"
)

// Refuse tokens of sessions that were logged out. Between the lines is all that it needs.
func Example() {
	issuer := latchkeytest.NewIssuer(new(testing.T))
	verifier := issuer.Verifier()
	service := startService("lost-phone")
	defer service.Close()
	orders := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "orders") })
	// ----
	source, err := feed.New(feed.Config{URL: service.URL + "/revocations", Key: key}) // LATCHKEY_REVOCATION_KEY of the auth service
	if err != nil {
		log.Fatal(err)
	}
	revocations, err := revocation.New(revocation.Config{Source: source})
	if err != nil {
		log.Fatal(err)
	}
	api := httpauth.Require(verifier, httpauth.WithRevocations(revocations))(orders)
	// ----

	for _, session := range []string{"laptop", "lost-phone"} {
		claims := latchkeytest.Claims("u-42", "orders:read", time.Now())
		claims["sid"] = session
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.Sign(claims))
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(session, w.Code)
	}
	// Output:
	// laptop 200
	// lost-phone 401
}

// startService starts a server that answers GET /revocations as the auth service does
// after the logout of a session.
func startService(session string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now().UTC()
		fmt.Fprintf(w, `{"revocations":[{"time":%q,"user_id":"u-42","session_id":%q,"epoch":0,"rights":0,"expires_at":%q}],"next":"1","more":false,"since":%q}`,
			now.Format(time.RFC3339), session, now.Add(15*time.Minute).Format(time.RFC3339), now.Add(-time.Hour).Format(time.RFC3339))
	}))
}
