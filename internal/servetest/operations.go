package servetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A Service is one in the process, which mails links and lets anybody register.
type Service struct {
	Handler http.Handler
	// Deliver delivers the mail that is queued, and returns the text of the last one.
	Deliver func() string
}

// The operations of which it is told what they cost.
const (
	OperationRegister     = "registration: request, mail, confirmation"
	OperationNewNetwork   = "login, new network"
	OperationNewNetwork6  = "login, new network, IPv6"
	OperationKnownNetwork = "login, known network"
	OperationWrong        = "login, wrong password"
	OperationRefresh      = "refresh"
	OperationMe           = "GET /me"
	OperationLogout       = "logout"
)

// Each does each operation once, in an order in which they work, by way of measure.
// Another user has done them before: what is read or written once a day is not counted.
func (s Service) Each(t testing.TB, measure func(operation string, do func())) {
	t.Helper()
	s.each(t, "grace@example.com", func(_ string, do func()) { do() })
	s.each(t, address, measure)
}

func (s Service) each(t testing.TB, address string, measure func(string, func())) {
	t.Helper()
	const home, away, away6, elsewhere = "192.0.2.1:40000", "198.51.100.1:40000", "[2001:db8::1]:40000", "203.0.113.1:40000"
	var access, refresh string
	login := func(from string) func() {
		return func() {
			a := s.want(t, 200, from, "POST", "/login", "", object("username", address, "password", password))
			access, refresh = a.text("access_token"), a.text("refresh_token")
		}
	}
	measure(OperationRegister, func() {
		s.want(t, 202, home, "POST", "/register", "", object("email", address, "password", password, "name", "Ada L."))
		found := linkToken.FindStringSubmatch(s.Deliver())
		if found == nil {
			t.Fatal("no mail with a link was delivered")
		}
		s.want(t, 204, home, "POST", "/email/verify", "", object("token", found[1]))
	})
	measure(OperationNewNetwork, login(away))
	measure(OperationNewNetwork6, login(away6))
	measure(OperationKnownNetwork, login(away))
	measure(OperationWrong, func() {
		s.want(t, 401, elsewhere, "POST", "/login", "", object("username", address, "password", another))
	})
	measure(OperationRefresh, func() {
		a := s.want(t, 200, away, "POST", "/token/refresh", "", object("refresh_token", refresh))
		access = a.text("access_token")
	})
	measure(OperationMe, func() { s.want(t, 200, away, "GET", "/me", access, "") })
	measure(OperationLogout, func() { s.want(t, 204, away, "POST", "/logout", access, "") })
}

// want makes a request from an address, which must be answered with the status.
func (s Service) want(t testing.TB, status int, from, method, path, bearer, body string) Answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.RemoteAddr = from
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	a := Answer{Status: w.Code, Body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.Members) // not every body is an object
	if a.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	return a
}
