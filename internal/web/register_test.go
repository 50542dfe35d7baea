package web_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// publicRoutes are those with a body that need no token, and a good one.
var publicRoutes = map[string]string{
	"POST /register":            `{"email":"grace@example.com","password":"some other battery","name":"Grace H."}`,
	"POST /email/verify":        `{"email":"grace@example.com","code":"ACDE-FGHJ"}`,
	"POST /email/verify/resend": `{"email":"grace@example.com"}`,
	"POST /password/forgot":     `{"email":"ada@example.com"}`,
	"POST /password/reset":      `{"token":"vJ4QnV0gkP2u0dFz1yqUDA.PYtrhU8ZGB7B8IyosCESe5854vYhuIhrJRf8weJ5Ka4","password":"some other battery"}`,
}

const acceptedBody = `{"status":"accepted"}` + "\n"

// post sends JSON.
func (f *fixture) post(path, body string, h fields) answer {
	f.Helper()
	return f.send("POST", path, body, with(h, "Content-Type", asJSON))
}

// submit sends a page's form.
func (f *fixture) submit(path string, form url.Values) answer {
	f.Helper()
	return f.send("POST", path, form.Encode(), fields{"Content-Type": asForm, "Sec-Fetch-Site": "same-origin"})
}

// mails delivers what is queued, and returns it.
func (f *fixture) mails() []message.Message {
	f.Helper()
	if err := f.service.Deliver(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.inbox.mu.Lock()
	defer f.inbox.mu.Unlock()
	got := f.inbox.messages
	f.inbox.messages = nil
	return got
}

// mail is the one that is queued, which must be of the kind.
func (f *fixture) mail(kind message.Kind) message.Message {
	f.Helper()
	got := f.mails()
	if len(got) != 1 || got[0].Kind != kind {
		f.Fatalf("got mails %+v, want one %s", got, kind)
	}
	return got[0]
}

// linkToken is the secret of a mail's link, which must open the page.
func (f *fixture) linkToken(m message.Message, page string) string {
	f.Helper()
	token, ok := strings.CutPrefix(m.Link, publicURL+page+"?token=")
	if !ok || token == "" {
		f.Fatalf("the link is %q, want one to %s%s", m.Link, publicURL, page)
	}
	return token
}

// want checks status and body of an answer.
func (f *fixture) want(a answer, status int, body string) {
	f.Helper()
	if a.status != status || a.body != body {
		f.Errorf("got %d %q, want %d %q", a.status, a.body, status, body)
	}
}

func TestRegisterByMail(t *testing.T) {
	for name, proof := range map[string]func(*fixture, message.Message) string{
		"by the link": func(f *fixture, m message.Message) string { return `{"token":"` + f.linkToken(m, "/verify") + `"}` },
		"by the code": func(_ *fixture, m message.Message) string {
			return `{"email":"Grace@Example.com","code":"` + strings.ToLower(m.Code) + `"}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := mailFixture(t)
			f.want(f.post("/register", publicRoutes["POST /register"], nil), http.StatusAccepted, acceptedBody)
			m := f.mail(message.Verify)
			if m.To != "grace@example.com" || m.Name != "" { // a stranger may have chosen it
				t.Errorf("the mail is to %s, %q", m.To, m.Name)
			}
			f.wantProblem(f.login("grace@example.com", "some other battery"), http.StatusForbidden, "email_not_verified")
			f.wantProblem(f.login("grace@example.com", "a wrong password"), http.StatusUnauthorized, "invalid_credentials")
			f.want(f.post("/email/verify", proof(f, m), nil), http.StatusNoContent, "")
			f.wantProblem(f.post("/email/verify", proof(f, m), nil), http.StatusBadRequest, "invalid_ticket")
			a := f.login("grace@example.com", "some other battery")
			if a.status != http.StatusOK {
				t.Fatalf("login: %d %s", a.status, a.body)
			}
			var tokens struct{ Token string }
			f.decode(a, &tokens)
			var me map[string]any
			f.decode(f.get("/me", bearer(tokens.Token)), &me)
			if me["email"] != "grace@example.com" || me["email_verified"] != true || me["scope"] != "" {
				t.Errorf("me is %v", me)
			}
		})
	}
}

// TestOuterBlanksOfAddresses do not count in any request, and the mail goes to the
// address without them.
func TestOuterBlanksOfAddresses(t *testing.T) {
	f := mailFixture(t)
	const blank = `" \tGrace@example.com \r\n"`
	f.want(f.post("/register", `{"email":`+blank+`,"password":"some other battery"}`, nil), http.StatusAccepted, acceptedBody)
	f.want(f.post("/email/verify", `{"email":`+blank+`,"code":"`+f.mail(message.Verify).Code+`"}`, nil), http.StatusNoContent, "")
	if a := f.post("/login", `{"username":`+blank+`,"password":"some other battery"}`, nil); a.status != http.StatusOK {
		t.Errorf("login: %d %s", a.status, a.body)
	}
	f.wantProblem(f.post("/login", `{"username":`+blank+`,"password":"some other battery "}`, nil), http.StatusUnauthorized, "invalid_credentials")
	f.want(f.post("/password/forgot", `{"email":`+blank+`}`, nil), http.StatusAccepted, acceptedBody)
	if m := f.mail(message.Reset); m.To != "Grace@example.com" {
		t.Errorf("the mail is to %q", m.To)
	}
	f.wantProblem(f.post("/login", `{"username":"gra ce@example.com","password":"some other battery"}`, nil), http.StatusBadRequest, "invalid_request")
}

func TestRegisterWithoutProof(t *testing.T) {
	f := mailFixture(t, func(c *auth.Config) { c.VerifyEmail = false })
	a := f.post("/register", publicRoutes["POST /register"], nil)
	if a.status != http.StatusCreated || a.header.Get("Content-Type") != asJSON || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %v %s, want 201 with tokens", a.status, a.header, a.body)
	}
	var tokens struct{ Token string }
	f.decode(a, &tokens)
	var me map[string]any
	f.decode(f.get("/me", bearer(tokens.Token)), &me)
	if me["email"] != "grace@example.com" || me["email_verified"] != false {
		t.Errorf("me is %v", me)
	}
	f.wantProblem(f.post("/register", publicRoutes["POST /register"], nil), http.StatusConflict, "email_taken")
	if got := f.mails(); len(got) != 0 {
		t.Errorf("got mails %+v, want none", got)
	}
}

func TestWhatIsOffSaysSo(t *testing.T) {
	f := newFixture(t)
	token := f.token()
	f.wantProblem(f.post("/register", publicRoutes["POST /register"], nil), http.StatusForbidden, "registration_closed")
	f.wantProblem(f.post("/password/forgot", `{"email":"ada@example.com"}`, nil), http.StatusForbidden, "mail_off")
	f.wantProblem(f.post("/email/verify/resend", `{"email":"ada@example.com"}`, nil), http.StatusForbidden, "mail_off")
	f.wantProblem(f.post("/email/change", `{"email":"lovelace@example.com","password":"`+password+`"}`, bearer(token)), http.StatusForbidden, "mail_off")
}

// TestAddressesDoNotShow: no answer shows whether there is an account, in any
// state.
func TestAddressesDoNotShow(t *testing.T) {
	for _, route := range []string{"/register", "/password/forgot", "/email/verify/resend"} {
		f := mailFixture(t)
		f.post("/register", `{"email":"pending@example.com","password":"some other battery"}`, nil)
		if _, err := f.service.AddUser(t.Context(), auth.NewUser{Email: "disabled@example.com", Password: password}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.service.Disable(t.Context(), "disabled@example.com", true); err != nil {
			t.Fatal(err)
		}
		ask := func(email string) answer {
			body := `{"email":"` + email + `"`
			if route == "/register" {
				body += `,"password":"yet another battery"`
			}
			return f.post(route, body+"}", nil)
		}
		unknown := ask("nobody@example.com")
		f.want(unknown, http.StatusAccepted, acceptedBody)
		for _, email := range []string{"ada@example.com", "ADA@EXAMPLE.COM", "pending@example.com", "disabled@example.com"} {
			if diff := cmp.Diff(unknown.comparable(), ask(email).comparable(), cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("%s: nobody and %s (-nobody +this):\n%s", route, email, diff)
			}
		}
	}
}

// TestMembersThatNobodyMaySet are refused by name, and set nothing.
func TestMembersThatNobodyMaySet(t *testing.T) {
	f := mailFixture(t)
	token := f.token()
	for _, member := range []string{
		`"verified":"true"`, `"email_verified":true`, `"role":"admin"`, `"roles":["admin"]`, `"attributes":{"tenant":"ulm"}`, `"scope":"admin"`, `"id":"u1"`, `"username":"ada"`, `"disabled":false`, `"Email":"x@example.com"`,
	} {
		name, _, _ := strings.Cut(strings.TrimPrefix(member, `"`), `"`)
		answers := map[string]answer{
			"/register": f.post("/register", `{"email":"grace@example.com","password":"some other battery",`+member+`}`, nil),
			"/me":       f.send("PATCH", "/me", `{"name":"Ada",`+member+`}`, bearer(token)),
		}
		if name != "username" {
			answers["/login"] = f.post("/login", `{"username":"ada","password":"`+password+`",`+member+`}`, nil)
		}
		for path, a := range answers {
			p := f.wantProblem(a, http.StatusBadRequest, "invalid_request")
			if len(p.Errors) != 1 || p.Errors[0].Field != name {
				t.Errorf("%s with %s: errors are %v, want one of %s", path, member, p.Errors, name)
			}
		}
	}
	var me map[string]any
	f.decode(f.get("/me", bearer(token)), &me)
	if me["name"] != "Ada L." || me["scope"] != "read write" || len(f.mails()) != 0 {
		t.Errorf("me is %v", me)
	}
	if u, err := f.store.User(t.Context(), "u1"); err != nil || len(u.Roles) != 0 || len(u.Attributes) != 0 {
		t.Errorf("the user has %v, %v; %v", u.Roles, u.Attributes, err)
	}
}

// TestLinksLeadToThePublicURL: no header of a request changes where.
func TestLinksLeadToThePublicURL(t *testing.T) {
	const evil = "evil.example"
	for path, body := range map[string]string{
		"/register": publicRoutes["POST /register"], "/password/forgot": `{"email":"ada@example.com"}`,
	} {
		f := mailFixture(t)
		req, err := http.NewRequestWithContext(t.Context(), "POST", f.server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = evil
		a := f.do(req, fields{
			"Content-Type": "application/json", "X-Forwarded-Host": evil, "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/" + evil, "X-Original-Host": evil, "X-Host": evil,
			"Forwarded": "host=" + evil + ";proto=http", "Origin": "https://" + evil, "Referer": "https://" + evil + "/",
		})
		f.want(a, http.StatusAccepted, acceptedBody)
		got := f.mails()
		if len(got) != 1 || !strings.HasPrefix(got[0].Link, publicURL+"/") || strings.Contains(fmt.Sprintf("%+v", got), evil) {
			t.Errorf("%s: got mails %+v, want a link to %s", path, got, publicURL)
		}
	}
}

func TestNewPasswordByMail(t *testing.T) {
	for name, proof := range map[string]func(*fixture, message.Message) string{
		"by the link": func(f *fixture, m message.Message) string { return `"token":"` + f.linkToken(m, "/reset") + `"` },
		"by the code": func(_ *fixture, m message.Message) string { return `"email":"ada@example.com","code":"` + m.Code + `"` },
	} {
		t.Run(name, func(t *testing.T) {
			f := mailFixture(t)
			token := f.token()
			f.want(f.post("/password/forgot", `{"email":"ada@example.com"}`, nil), http.StatusAccepted, acceptedBody)
			m := f.mail(message.Reset)
			p := f.wantProblem(f.post("/password/reset", `{`+proof(f, m)+`,"password":"short"}`, nil), http.StatusBadRequest, "invalid_request")
			if len(p.Errors) != 1 || p.Errors[0].Field != "password" {
				t.Errorf("errors are %v, want one of the password", p.Errors)
			}
			f.want(f.post("/password/reset", `{`+proof(f, m)+`,"password":"some other battery"}`, nil), http.StatusNoContent, "")
			f.mail(message.PasswordChanged)
			f.wantProblem(f.post("/password/reset", `{`+proof(f, m)+`,"password":"a third battery"}`, nil), http.StatusBadRequest, "invalid_ticket")
			f.wantProblem(f.get("/me", bearer(token)), http.StatusUnauthorized, "unauthorized")
			f.wantProblem(f.login("ada", password), http.StatusUnauthorized, "invalid_credentials")
			if a := f.login("ada", "some other battery"); a.status != http.StatusOK {
				t.Errorf("login: %d %s", a.status, a.body)
			}
		})
	}
}

func TestTicketsArePresentedOneWay(t *testing.T) {
	f := mailFixture(t)
	for body, code := range map[string]string{
		``: "invalid_request", `{}`: "invalid_request", `{"email":"ada@example.com"}`: "invalid_request", `{"code":"ACDE-FGHJ"}`: "invalid_request",
		`{"token":"a.b","code":"ACDE-FGHJ"}`: "invalid_request", `{"token":"a.b","email":"ada@example.com"}`: "invalid_request",
		`{"token":"a.b"}`: "invalid_ticket", `{"email":"ada@example.com","code":"0000-0000"}`: "invalid_ticket",
		`{"email":"nobody@example.com","code":"ACDE-FGHJ"}`: "invalid_ticket", `{"email":"no address","code":"ACDE-FGHJ"}`: "invalid_request",
	} {
		f.wantProblem(f.post("/email/verify", body, nil), http.StatusBadRequest, code)
	}
}

func TestAnotherAddress(t *testing.T) {
	f := mailFixture(t)
	token := f.token()
	f.wantProblem(f.post("/email/change", `{"email":"lovelace@example.com","password":"wrong"}`, bearer(token)), http.StatusUnauthorized, "invalid_credentials")
	f.wantProblem(f.post("/email/change", `{"email":"lovelace@example.com","password":"`+password+`"}`, nil), http.StatusUnauthorized, "unauthorized")
	f.want(f.post("/email/change", `{"email":"lovelace@example.com","password":"`+password+`"}`, bearer(token)), http.StatusAccepted, acceptedBody)
	var confirm message.Message
	var kinds []string
	for _, m := range f.mails() {
		kinds = append(kinds, string(m.Kind)+" to "+m.To)
		if m.Kind == message.Confirm {
			confirm = m
		}
	}
	slices.Sort(kinds)
	if diff := cmp.Diff([]string{"confirm to lovelace@example.com", "email_changing to ada@example.com"}, kinds); diff != "" {
		t.Fatalf("mails (-want +got):\n%s", diff)
	}
	me := func() (got struct {
		Email        string
		PendingEmail string `json:"pending_email"`
	}) {
		f.decode(f.get("/me", bearer(token)), &got)
		return got
	}
	if got := me(); got.Email != "ada@example.com" || got.PendingEmail != "lovelace@example.com" {
		t.Errorf("before the proof: %+v", got)
	}
	f.want(f.post("/email/verify", `{"token":"`+f.linkToken(confirm, "/verify")+`"}`, nil), http.StatusNoContent, "")
	if got := me(); got.Email != "lovelace@example.com" || got.PendingEmail != "" {
		t.Errorf("after it: %+v", got)
	}
	if m := f.mail(message.EmailChanged); m.To != "ada@example.com" {
		t.Errorf("the mail is to %s", m.To)
	}
}

func TestTooManyRequestsForMail(t *testing.T) {
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		f := mailFixture(t, func(c *auth.Config) { c.Limits = &attempt.DefaultLimits })
		for range attempt.DefaultLimits.Mail.Free {
			f.want(f.post("/password/forgot", `{"email":"`+email+`"}`, nil), http.StatusAccepted, acceptedBody)
		}
		for _, path := range []string{"/password/forgot", "/email/verify/resend"} {
			a := f.post(path, `{"email":"`+email+`"}`, nil)
			f.wantProblem(a, http.StatusTooManyRequests, "too_many_failures")
			if got := a.header.Get("Retry-After"); got != "60" {
				t.Errorf("%s, %s: Retry-After is %q, want 60", path, email, got)
			}
		}
	}
}

// A ticketPage is a page with the mail that leads to it.
type ticketPage struct {
	path string
	// prepare returns the token of a link to it.
	prepare func(*fixture) string
	form    url.Values // without the token
	works   func(*fixture) bool
}

var ticketPages = []ticketPage{
	{"/verify", func(f *fixture) string {
		f.post("/register", publicRoutes["POST /register"], nil)
		return f.linkToken(f.mail(message.Verify), "/verify")
	}, url.Values{}, func(f *fixture) bool { return f.login("grace@example.com", "some other battery").status == 200 }},
	{"/reset", func(f *fixture) string {
		f.post("/password/forgot", `{"email":"ada@example.com"}`, nil)
		return f.linkToken(f.mail(message.Reset), "/reset")
	}, url.Values{"password": {"some other battery"}}, func(f *fixture) bool { return f.login("ada", "some other battery").status == 200 }},
	{"/accept", func(f *fixture) string {
		if _, err := f.service.Invite(f.Context(), auth.NewUser{Email: "grace@example.com"}); err != nil {
			f.Fatal(err)
		}
		return f.linkToken(f.mail(message.Invite), "/accept")
	}, url.Values{"password": {"some other battery"}}, func(f *fixture) bool { return f.login("grace@example.com", "some other battery").status == 200 }},
}

// filled is the page's form with the token.
func (p ticketPage) filled(token string) url.Values {
	form := url.Values{"token": {token}}
	for name, values := range p.form {
		form[name] = values
	}
	return form
}

// eachPage runs a test for each page, with the token of a link to it.
func eachPage(t *testing.T, test func(t *testing.T, f *fixture, p ticketPage, token string)) {
	t.Helper()
	for _, p := range ticketPages {
		t.Run(p.path, func(t *testing.T) {
			f := mailFixture(t)
			test(t, f, p, p.prepare(f))
		})
	}
}

// TestPagesUseNothingUp: programs look into mails and open their links.
func TestPagesUseNothingUp(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		first := f.get(p.path+"?token="+token, nil)
		if first.status != http.StatusOK || !strings.Contains(first.body, `value="`+token+`"`) || !strings.Contains(first.body, `<form method="post"`) {
			t.Fatalf("got %d %s, want a form with the token", first.status, first.body)
		}
		if a := f.send("HEAD", p.path+"?token="+token, "", nil); a.status != http.StatusOK {
			t.Errorf("HEAD: %d", a.status)
		}
		if again := f.get(p.path+"?token="+token, nil); again.body != first.body {
			t.Errorf("the second time: %d %s", again.status, again.body)
		}
		if p.works(f) {
			t.Fatal("it is done before the form was sent")
		}
		if a := f.submit(p.path, p.filled(token)); a.status != http.StatusOK || strings.Contains(a.body, "<form") || strings.Contains(a.body, token) {
			t.Errorf("the form: got %d %s, want a page without form", a.status, a.body)
		}
		f.clock.Advance(time.Minute)
		if !p.works(f) {
			t.Error("it is not done after the form was sent")
		}
		if a := f.submit(p.path, p.filled(token)); a.status != http.StatusBadRequest || strings.Contains(a.body, `name="token"`) {
			t.Errorf("the form again: got %d %s, want 400 without a form for the link", a.status, a.body)
		}
	})
}

func TestPageHeaders(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		for name, a := range map[string]answer{
			"the page":         f.get(p.path+"?token="+token, nil),
			"without a token":  f.get(p.path, nil),
			"a bad form":       f.submit(p.path, url.Values{}),
			"another's form":   f.send("POST", p.path, p.filled(token).Encode(), fields{"Content-Type": asForm, "Sec-Fetch-Site": "cross-site"}),
			"no form":          f.post(p.path, "{}", nil),
			"the form":         f.submit(p.path, p.filled(token)),
			"the form, second": f.submit(p.path, p.filled(token)),
		} {
			for header, want := range map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "strict-origin", "X-Content-Type-Options": "nosniff",
			} {
				if got := a.header.Get(header); got != want {
					t.Errorf("%s: %s is %q, want %q", name, header, got, want)
				}
			}
			policy := a.header.Values("Content-Security-Policy")
			if len(policy) != 1 || strings.Contains(policy[0], "script-src") || strings.Contains(policy[0], "unsafe") {
				t.Errorf("%s: the policy is %q", name, policy)
			}
			for _, directive := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
				if !strings.Contains(strings.Join(policy, ""), directive) {
					t.Errorf("%s: the policy %q lacks %s", name, policy, directive)
				}
			}
			for _, outside := range []string{"<script", "javascript:", "http://", "https://", "src=", " on"} {
				body, _, _ := strings.Cut(a.body, "<style>")
				_, rest, _ := strings.Cut(a.body, "</style>")
				for _, tag := range tags(body + rest) {
					if strings.Contains(tag, outside) {
						t.Errorf("%s: the page has %s in %s", name, outside, tag)
					}
				}
			}
			if a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: there is a cookie", name)
			}
		}
	})
}

// tags returns what stands between < and >.
func tags(doc string) []string {
	var all []string
	for part := range strings.SplitSeq(doc, "<") {
		if tag, _, ok := strings.Cut(part, ">"); ok {
			all = append(all, "<"+tag)
		}
	}
	return all
}

func TestLinkTokensStayOutOfTheLog(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		f.get(p.path+"?token="+token, nil)
		f.send("HEAD", p.path+"?token="+token, "", nil)
		f.get("/nothing?token="+token, fields{"Referer": publicURL + p.path + "?token=" + token})
		f.post("/email/verify", `{"token":"`+token+`","x":"y"}`, nil)
		f.post("/email/verify", `{"token":"`+token, nil)
		f.submit(p.path+"?token="+token, p.filled(token))
		f.store.set(fmt.Errorf("%w: disk full", storage.ErrUnavailable))
		f.submit(p.path, p.filled(token))
		_, secret, _ := strings.Cut(token, ".")
		if len(f.lines("request")) < 7 || strings.Contains(f.log.String(), secret) || strings.Contains(f.log.String(), "some other battery") {
			t.Errorf("the log holds the token or the password, or too little:\n%s", f.log.String())
		}
	})
}

// TestRefusedPasswordShowsTheFormAgain, with the reason, and the link is still
// good.
func TestRefusedPasswordShowsTheFormAgain(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		if p.form.Get("password") == "" {
			return
		}
		for typed, reason := range map[string]string{
			"short": "must have at least 8 characters", strings.Repeat("x", 1025): "must have at most 1024 bytes", "example.com ada@ grace@example.com ada@example.com": "your own name or address",
		} {
			a := f.submit(p.path, url.Values{"token": {token}, "password": {typed}})
			if a.status != http.StatusBadRequest || !strings.Contains(a.body, reason) || !strings.Contains(a.body, `value="`+token+`"`) || strings.Contains(a.body, typed+`"`) {
				t.Errorf("%.60s: got %d %s, want the form again, with %q", typed, a.status, a.body, reason)
			}
		}
		if a := f.submit(p.path, p.filled(token)); a.status != http.StatusOK {
			t.Errorf("a good password afterwards: %d %s", a.status, a.body)
		}
	})
}

// TestPagesTakeTheirOwnFormOnly, and a refusal leaves the link good.
func TestPagesTakeTheirOwnFormOnly(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		good := p.filled(token).Encode()
		for name, c := range map[string]struct {
			body   string
			header fields
			status int
		}{
			"another site's":   {good, fields{"Content-Type": asForm, "Sec-Fetch-Site": "cross-site"}, 403},
			"packed":           {good, fields{"Content-Type": asForm, "Content-Encoding": "gzip"}, 415},
			"JSON":             {`{"token":"` + token + `"}`, fields{"Content-Type": asJSON}, 415},
			"text":             {good, fields{"Content-Type": "text/plain"}, 415},
			"no type":          {good, nil, 415},
			"a form of files":  {good, fields{"Content-Type": "multipart/form-data; boundary=x"}, 415},
			"nothing":          {"", fields{"Content-Type": asForm}, 400},
			"a broken form":    {good + "&%zz", fields{"Content-Type": asForm}, 400},
			"a field too much": {good + "&role=admin", fields{"Content-Type": asForm}, 400},
			"a token twice":    {good + "&token=" + token, fields{"Content-Type": asForm}, 400},
			"an empty token":   {strings.Replace(good, token, "", 1), fields{"Content-Type": asForm}, 400},
			"a long one":       {good + "&x=" + strings.Repeat("x", 64<<10), fields{"Content-Type": asForm}, 413},
		} {
			a := f.send("POST", p.path, c.body, c.header)
			if a.status != c.status || !strings.HasPrefix(a.body, "<!doctype html>") || strings.Contains(a.body, "<form") {
				t.Errorf("%s: got %d %.300s, want %d and a page without form", name, a.status, a.body, c.status)
			}
		}
		if p.works(f) {
			t.Fatal("it is done by what was refused")
		}
		// Browsers without the header, and links that were typed.
		if a := f.send("POST", p.path, good, fields{"Content-Type": asForm}); a.status != http.StatusOK {
			t.Errorf("the form: %d %s", a.status, a.body)
		}
	})
}

func TestRoutesForProgramsTakeNoForms(t *testing.T) {
	f := mailFixture(t)
	token := f.token()
	for _, routes := range []map[string]string{publicRoutes, accountRoutes, {"POST /login": "", "POST /email/change": ""}} {
		for route := range routes {
			method, path, _ := strings.Cut(route, " ")
			for _, media := range []string{asForm, "multipart/form-data; boundary=x", "text/plain"} {
				a := f.send(method, path, "email=ada%40example.com&username=ada&password=x", with(bearer(token), "Content-Type", media))
				f.wantProblem(a, http.StatusUnsupportedMediaType, "unsupported_media_type")
			}
		}
	}
}

func TestPagesEscapeWhatTheyShow(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, _ string) {
		for _, hostile := range []string{
			`"><script>alert(1)</script>`, `' onfocus='alert(1)' x='`, `" autofocus onfocus="alert(1)`, `</form><form action="https://evil.example">`,
			"javascript:alert(1)", "{{.Style}}", "\x00<b>", "<!--", "</title><img src=x>", "\u202e<a href=//evil.example>",
		} {
			a := f.get(p.path+"?token="+url.QueryEscape(hostile), nil)
			plain := f.get(p.path+"?token=plain", nil)
			if a.status != http.StatusBadRequest || a.body != plain.body {
				t.Errorf("%q: got %d %s, want the page of any other dead link", hostile, a.status, a.body)
			}
			// A store that fails leaves the form with what was sent.
			f.store.set(fmt.Errorf("%w: disk full", storage.ErrUnavailable))
			secret := "." + strings.Repeat("A", 43)
			kept, other := f.submit(p.path, p.filled(hostile+secret)), f.submit(p.path, p.filled("plain"+secret))
			f.store.set(nil)
			if kept.body != plain.body && len(tags(kept.body)) != len(tags(other.body)) || strings.ContainsAny(hostile, `<"'`) && strings.Contains(kept.body, hostile) {
				t.Errorf("%q: it stands in the page as it is: %s", hostile, kept.body)
			}
			refused := f.submit(p.path, p.filled(hostile))
			if refused.status != http.StatusBadRequest || strings.Contains(refused.body, "evil") || strings.Contains(refused.body, "alert(") {
				t.Errorf("%q, sent: got %d %s, want 400 without it", hostile, refused.status, refused.body)
			}
		}
	})
}

func TestPagesWhenItGoesWrong(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		for _, c := range []struct {
			fault       error
			status      int
			says, after string
		}{
			{fmt.Errorf("%w: disk full", storage.ErrUnavailable), 503, "Try again in a few seconds", "5"},
			{fmt.Errorf("secret inner detail"), 500, "Something went wrong on our side", ""},
		} {
			f.store.set(c.fault)
			a := f.submit(p.path, p.filled(token))
			if a.status != c.status || !strings.Contains(a.body, c.says) || a.header.Get("Retry-After") != c.after || strings.Contains(a.body, c.fault.Error()) {
				t.Errorf("got %d %v %s, want %d, %q", a.status, a.header, a.body, c.status, c.says)
			}
			if !strings.Contains(a.body, `value="`+token+`"`) {
				t.Errorf("%d: there is no form to try again", a.status)
			}
		}
		f.store.set(nil)
		f.service.Limits = &attempt.Limits{Address: limit.Limit{Free: 1, First: time.Minute, Longest: time.Hour, Fade: time.Hour}}
		f.submit(p.path, p.filled("wrong"))
		a := f.submit(p.path, p.filled("wrong"))
		if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "60" || !strings.Contains(a.body, `value="wrong"`) {
			t.Errorf("got %d %v %s, want 429 with the form", a.status, a.header, a.body)
		}
		if a := f.submit(p.path, p.filled(token)); a.status != http.StatusOK {
			t.Errorf("a good link gets through: %d %s", a.status, a.body)
		}
	})
}

// jsonRoutes are all that take a JSON body, each with one that the store is asked
// about.
func jsonRoutes() map[string]string {
	all := maps.Clone(publicRoutes)
	maps.Copy(all, accountRoutes)
	all["POST /login"] = `{"username":"ada","password":"wrong password"}`
	all["POST /email/change"] = `{"email":"lovelace@example.com","password":"wrong password"}`
	return all
}

// TestEveryRouteWhenItGoesWrong: too long a body, an outage, a mistake of ours
// and too many failures are answered alike everywhere.
func TestEveryRouteWhenItGoesWrong(t *testing.T) {
	f := mailFixture(t)
	header := bearer(f.token())
	routes := jsonRoutes()
	for route := range routes {
		method, path, _ := strings.Cut(route, " ")
		f.wantProblem(f.send(method, path, strings.Repeat(" ", 64<<10+1), header), http.StatusRequestEntityTooLarge, "body_too_large")
	}
	routes["GET /me"], routes["GET /me/sessions"], routes["DELETE /me/sessions/x"] = "", "", ""
	for route, body := range routes {
		method, path, _ := strings.Cut(route, " ")
		f.store.set(storage.ErrUnavailable)
		f.wantProblem(f.send(method, path, body, header), http.StatusServiceUnavailable, "unavailable")
		f.store.set(errors.New("a mistake of ours"))
		f.wantProblem(f.send(method, path, body, header), http.StatusInternalServerError, "internal")
	}
	f.store.set(nil)
	one := limit.Limit{Free: 1, First: time.Minute, Longest: time.Hour, Fade: time.Hour}
	f.service.Limits = &attempt.Limits{Account: one, Address: one}
	f.login("ada", "wrong")
	f.send("POST", "/password/change", accountRoutes["POST /password/change"], header) // who is signed in counts apart
	f.post("/password/forgot", `{"email":"nobody@example.com"}`, nil)                  // such requests count apart
	for route, body := range jsonRoutes() {
		if route == "POST /logout" || route == "PATCH /me" {
			continue // nothing can be guessed there
		}
		method, path, _ := strings.Cut(route, " ")
		a := f.send(method, path, body, header)
		f.wantProblem(a, http.StatusTooManyRequests, "too_many_failures")
		if got := a.header.Get("Retry-After"); got != "60" {
			t.Errorf("%s: Retry-After is %q, want 60", route, got)
		}
	}
}

// TestLifeOfAnAccount is all that its owner can do, when nothing goes wrong.
func TestLifeOfAnAccount(t *testing.T) {
	f := mailFixture(t)
	first, second := f.token(), f.token()
	var list struct {
		Sessions []struct {
			ID      string
			Current bool
		}
	}
	f.decode(f.get("/me/sessions", bearer(first)), &list)
	if len(list.Sessions) != 2 {
		t.Fatalf("got sessions %+v, want two", list.Sessions)
	}
	for _, s := range list.Sessions {
		if !s.Current {
			f.want(f.send("DELETE", "/me/sessions/"+s.ID, "", bearer(first)), http.StatusNoContent, "")
			f.wantProblem(f.send("DELETE", "/me/sessions/"+s.ID, "", bearer(first)), http.StatusNotFound, "not_found")
		}
	}
	f.wantProblem(f.get("/me", bearer(second)), http.StatusUnauthorized, "unauthorized")
	f.want(f.post("/password/change", `{"current_password":"`+password+`","new_password":"some other battery"}`, bearer(first)), http.StatusNoContent, "")
	f.mail(message.PasswordChanged)

	var tokens struct {
		Token        string
		RefreshToken string `json:"refresh_token"`
	}
	f.clock.Advance(time.Minute)
	f.decode(f.login("ada", "some other battery"), &tokens)
	a := f.post("/token/refresh", `{"refresh_token":"`+tokens.RefreshToken+`"}`, nil)
	if a.status != http.StatusOK {
		t.Errorf("refresh: %d %s", a.status, a.body)
	}
	f.wantProblem(f.post("/token/refresh", `{"refresh_token":"made up"}`, nil), http.StatusUnauthorized, "invalid_refresh_token")
	f.want(f.post("/logout", `{"refresh_token":"`+tokens.RefreshToken+`"}`, nil), http.StatusNoContent, "")
	f.want(f.send("DELETE", "/me", `{"password":"some other battery"}`, bearer(first)), http.StatusNoContent, "")
	f.mail(message.AccountDeleted)
	f.wantProblem(f.get("/me", bearer(first)), http.StatusUnauthorized, "unauthorized")
}
