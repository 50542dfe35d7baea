package servetest

import (
	"strings"
	"testing"
)

const (
	address  = "ada@example.com"
	password = "correct horse battery"
	another  = "another horse battery"
)

// Walk makes a store by init and walks a person through the program on it, from
// registration to deletion.
func Walk(t *testing.T, p *Program) {
	if code, said := p.Try(t, "", "serve", "--addr", "127.0.0.1:0"); code != 1 || !strings.Contains(said, "latchkey init") {
		t.Errorf("serve on a store that is not there: exit status %d: %s\nwant latchkey init", code, said)
	}
	p.Run(t, "", "init")
	s := p.Serve(t, "--registration", "open")

	s.want(t, 202, "POST", "/register", "", object("email", address, "password", password, "name", "Ada L."))
	s.want(t, 403, "POST", "/login", "", object("username", address, "password", password))
	s.want(t, 204, "POST", "/email/verify", "", object("token", p.mailbox.token(t, address)))
	s.want(t, 401, "POST", "/login", "", object("username", address, "password", "wrong"))
	access, refresh := s.login(t, address, password)
	if me := s.want(t, 200, "GET", "/me", access, ""); me.text("email") != address || me.Members["email_verified"] != true {
		t.Errorf("/me says %s", me.Body)
	}
	next := s.want(t, 200, "POST", "/token/refresh", "", object("refresh_token", refresh))
	access, refresh = next.text("access_token"), next.text("refresh_token")
	s.want(t, 200, "GET", "/me", access, "")
	s.want(t, 204, "POST", "/logout", access, "")
	s.want(t, 401, "GET", "/me", access, "")
	s.want(t, 401, "POST", "/token/refresh", "", object("refresh_token", refresh))

	access, _ = s.login(t, address, password)
	s.want(t, 202, "POST", "/password/forgot", "", object("email", address))
	s.want(t, 204, "POST", "/password/reset", "", object("token", p.mailbox.token(t, address), "password", another))
	s.want(t, 401, "GET", "/me", access, "")
	s.want(t, 401, "POST", "/login", "", object("username", address, "password", password))

	// A restart changes nothing, and commands work beside the service.
	if log := s.Stop(t); strings.Contains(log, "horse battery") {
		t.Errorf("the log shows a password: %s", log)
	}
	s = p.Serve(t)
	access, _ = s.login(t, address, another)
	if said := p.Run(t, "", "users", "list", "--json"); !strings.Contains(said, `"email":"`+address+`"`) {
		t.Errorf("users list: %s", said)
	}
	if said := p.Run(t, "", "events", "--kind", "password.reset"); !strings.Contains(said, "ok") {
		t.Errorf("events: %s", said)
	}
	s.want(t, 204, "DELETE", "/me", access, object("password", another))
	s.want(t, 401, "GET", "/me", access, "")
	s.want(t, 401, "POST", "/login", "", object("username", address, "password", another))
	if said := p.Run(t, "", "users", "list", "--json"); strings.Contains(said, address) {
		t.Errorf("users list after the deletion: %s", said)
	}
}
