package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// below is a service whose public URL has a path.
func below(t *testing.T, publicURL string) (*fixture, http.Handler) {
	t.Helper()
	f := fixtureWith(t, sqlstore.Memory, func(c *auth.Config) {
		c.Registration, c.VerifyEmail, c.SendsMail, c.PublicURL = auth.RegistrationOpen, true, true, publicURL
	})
	h, err := web.New(web.Config{Service: f.service, Verifier: verifierOf(f), JWKS: f.keys.JWKS, RevocationKey: revocationKey})
	if err != nil {
		t.Fatal(err)
	}
	return f, h
}

func ask(t *testing.T, h http.Handler, method, target, body string, header fields) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestBelowAPath: some proxies pass the path of the public URL on, some strip it.
func TestBelowAPath(t *testing.T) {
	_, h := below(t, publicURL) // https://login.example.com/auth
	for _, route := range web.Routes {
		method, path, _ := strings.Cut(strings.Replace(route, "{id}", "x", 1), " ")
		stripped, passed := ask(t, h, method, path, "", nil).Code, ask(t, h, method, "/auth"+path, "", nil).Code
		if stripped != passed || stripped == http.StatusNotFound || stripped == http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, below the path %d", route, stripped, passed)
		}
	}
	for _, path := range []string{"/auth", "/auth/", "/auth/auth/me", "/authx/me", "/Auth/me", "/auth//me", "//auth/me", "/auth/./me", "/auth/../me", "/auth/%6de", "/%61uth/me",
		"/x/auth/me", "/me/auth", "/.well-known/jwks.json/x"} {
		if a := ask(t, h, "GET", path, "", nil); a.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, a.Code)
		}
	}
	if a := ask(t, h, "DELETE", "/auth/login", "", nil); a.Code != http.StatusMethodNotAllowed || a.Header().Get("Allow") != "POST" {
		t.Errorf("DELETE /auth/login: %d, Allow %q", a.Code, a.Header().Get("Allow"))
	}
}

// TestWhatWeSayHasThePath: links in mail, the pages that they open, where the keys
// are, and the OpenAPI document.
func TestWhatWeSayHasThePath(t *testing.T) {
	f, h := below(t, publicURL)
	body := `{"email":"grace@example.com","password":"some other battery"}`
	if a := ask(t, h, "POST", "/auth/register", body, fields{"Content-Type": asJSON}); a.Code != http.StatusAccepted {
		t.Fatalf("register: %d %s", a.Code, a.Body)
	}
	link := f.mails()[0].Link
	at, ok := strings.CutPrefix(link, "https://login.example.com/auth/verify?token=")
	if !ok {
		t.Fatalf("the link is %s", link)
	}
	page := ask(t, h, "GET", "/auth/verify?token="+at, "", nil)
	if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), at) || strings.Contains(page.Body.String(), `action="/`) {
		t.Errorf("the page: %d %s, want the token and a form for where it is", page.Code, page.Body)
	}
	if a := ask(t, h, "POST", "/auth/verify?", "token="+at, fields{"Content-Type": asForm, "Origin": "https://login.example.com"}); a.Code != http.StatusOK {
		t.Errorf("the form: %d %s", a.Code, a.Body)
	}
	for _, path := range []string{"/auth/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/auth", "/.well-known/openid-configuration/auth"} {
		var doc struct {
			Keys string `json:"jwks_uri"`
		}
		a := ask(t, h, "GET", path, "", nil)
		if err := json.Unmarshal(a.Body.Bytes(), &doc); err != nil || doc.Keys != publicURL+"/.well-known/jwks.json" {
			t.Errorf("%s: keys at %q, %v", path, doc.Keys, err)
		}
	}
	var doc struct{ Servers []struct{ URL string } }
	if err := json.Unmarshal(ask(t, h, "GET", "/auth/openapi.json", "", nil).Body.Bytes(), &doc); err != nil || len(doc.Servers) != 1 || doc.Servers[0].URL != "/auth" {
		t.Errorf("the document has servers %v, %v; want /auth", doc.Servers, err)
	}
}

// TestAPathThatIsARouteToo: what is one of our routes as it stands stays.
func TestAPathThatIsARouteToo(t *testing.T) {
	f, h := below(t, "https://example.com/me/")
	token := bearer(f.token())
	for path, want := range map[string]int{"/me": 200, "/me/me": 200, "/me/sessions": 200, "/me/me/sessions": 200, "/me/livez": 200, "/livez": 200, "/me/me/me": 404} {
		if a := ask(t, h, "GET", path, "", token); a.Code != want {
			t.Errorf("%s: %d, want %d", path, a.Code, want)
		}
	}
}
