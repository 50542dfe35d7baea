package web_test

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/trial"
)

// accountRoutes are those with a body, and a good one.
var accountRoutes = map[string]string{
	"POST /token/refresh":   `{"refresh_token":"g3oqmjmdqdwuj25bvvyzxsffsr.PYtrhU8ZGB7B8IyosCESe5854vYhuIhrJRf8weJ5Ka4"}`,
	"POST /logout":          `{"scope":"others"}`,
	"POST /password/change": `{"current_password":"wrong password","new_password":"another battery"}`,
	"PATCH /me":             `{"name":"Ada L."}`,
	"DELETE /me":            `{"password":"wrong password"}`,
}

// TestMutatedAccountBodies sends broken forms of them and of the public ones,
// with a good token: no answer is a fault of the server. It sends 1,000, in full 50,000.
func TestMutatedAccountBodies(t *testing.T) {
	f := mailFixture(t)
	token := f.token()
	random := rand.New(rand.NewPCG(3, 4))
	bodies := maps.Clone(accountRoutes)
	maps.Copy(bodies, publicRoutes)
	routes := slices.Sorted(maps.Keys(bodies))
	spare := "{}[]\":,\\u00e9\x00\xff 0-1.e+tn"
	for range trial.Of(1_000, 50_000) {
		route := routes[random.IntN(len(routes))]
		body := []byte(bodies[route])
		for range random.IntN(4) {
			at, to := random.IntN(len(body)+1), random.IntN(len(body)+1)
			at, to = min(at, to), max(at, to)
			switch random.IntN(4) {
			case 0:
				body = slices.Delete(body, at, to)
			case 1:
				body = slices.Insert(body, at, body[at:to]...)
			case 2:
				body = slices.Insert(body, at, spare[random.IntN(len(spare))])
			case 3:
				body = body[:to]
			}
		}
		method, path, _ := strings.Cut(route, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(string(body)))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		switch {
		case w.Code >= 500:
			t.Errorf("%s %q: got %d %s", route, body, w.Code, w.Body)
		case path == "/logout" && w.Code == http.StatusNoContent:
			token = f.token() // it may have been the end of this one
		}
	}
}

// TestAccountRoutesNeedABearer: each refuses who has none, before anything else.
func TestAccountRoutesNeedABearer(t *testing.T) {
	f := newFixture(t)
	for route, body := range accountRoutes {
		method, path, _ := strings.Cut(route, " ")
		if path == "/token/refresh" {
			continue
		}
		for _, h := range []fields{nil, {"Authorization": "Bearer garbage"}} {
			f.wantProblem(f.send(method, path, body, h), http.StatusUnauthorized, "unauthorized")
		}
	}
	for _, route := range []string{"GET /me/sessions", "DELETE /me/sessions/x"} {
		method, path, _ := strings.Cut(route, " ")
		f.wantProblem(f.send(method, path, "", nil), http.StatusUnauthorized, "unauthorized")
	}
}

// TestAccountOutages: what was not stored is not told as done.
func TestAccountOutages(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	f.store.set(storage.ErrUnavailable)
	for route, body := range accountRoutes {
		method, path, _ := strings.Cut(route, " ")
		a := f.send(method, path, body, fields{"Authorization": "Bearer " + token})
		f.wantProblem(a, http.StatusServiceUnavailable, "unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: there is no Retry-After", route)
		}
	}
}
