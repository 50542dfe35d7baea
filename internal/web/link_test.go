package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// withoutStyle is the page as people read it.
func withoutStyle(doc string) string {
	before, _, _ := strings.Cut(doc, "<style>")
	_, after, _ := strings.Cut(doc, "</style>")
	return before + after
}

// TestPagesSayWhoseAddressItIs, and tell password managers.
func TestPagesSayWhoseAddressItIs(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		a := f.get(p.path+"?token="+token, nil)
		email := "grace@example.com"
		if p.path == "/reset" {
			email = "ada@example.com"
		}
		if !strings.Contains(a.body, `<p class="address">`+email+"</p>") {
			t.Errorf("the page does not show %s: %s", email, withoutStyle(a.body))
		}
		if p.path != "/verify" {
			if a := f.submit(p.path, url.Values{"token": {token}, "password": {"short"}}); !strings.Contains(a.body, `<p class="address">`+email+"</p>") {
				t.Errorf("after a refused password the page does not show %s: %s", email, withoutStyle(a.body))
			}
		}
		if named := strings.Contains(a.body, `value="`+email+`" autocomplete="username"`); named != (p.path != "/verify") {
			t.Errorf("the name for password managers: %t, in %s", named, withoutStyle(a.body))
		}
	})
}

// TestDeadLinksSayAtOnce that they are, in one way for all that are dead, and
// offer another mail.
func TestDeadLinksSayAtOnce(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		madeUp := f.get(p.path+"?token=made-up", nil)
		if madeUp.status != http.StatusBadRequest || strings.Contains(madeUp.body, `name="token"`) || !strings.Contains(madeUp.body, `name="email"`) {
			t.Fatalf("a link that is made up: %d %s", madeUp.status, withoutStyle(madeUp.body))
		}
		id, _, _ := strings.Cut(token, ".")
		if wrong := f.get(p.path+"?token="+id+"."+strings.Repeat("A", 43), nil); wrong.body != madeUp.body {
			t.Errorf("a wrong secret of a ticket that is there: %s", withoutStyle(wrong.body))
		}
		f.clock.Advance(8 * 24 * time.Hour)
		if expired := f.get(p.path+"?token="+token, nil); expired.status != madeUp.status || expired.body != madeUp.body {
			t.Errorf("an expired link: %d %s", expired.status, withoutStyle(expired.body))
		}
	})
}

// TestVoidLinksAreDead: a ticket that is there and is good for nothing is no form.
func TestVoidLinksAreDead(t *testing.T) {
	f := mailFixture(t)
	reset := ticketPages[1].prepare(f)
	if a := f.get("/verify?token="+reset, nil); a.status != http.StatusBadRequest {
		t.Errorf("a link to another page: %d", a.status)
	}
	user, err := f.service.UserByLogin(f.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.service.SetPassword(f.Context(), user.Username, "yet another battery"); err != nil {
		t.Fatal(err)
	}
	if a := f.get("/reset?token="+reset, nil); a.status != http.StatusBadRequest || strings.Contains(a.body, `name="password"`) {
		t.Errorf("a link that a new password has voided: %d %s", a.status, withoutStyle(a.body))
	}
	registration := ticketPages[0].prepare(f)
	f.service.Registration = auth.RegistrationClosed
	if a := f.get("/verify?token="+registration, nil); a.status != http.StatusBadRequest {
		t.Errorf("a registration where there are none any more: %d", a.status)
	}
}

// TestUsedLinksSaySo until they expire; only then are they like any dead one.
func TestUsedLinksSaySo(t *testing.T) {
	eachPage(t, func(t *testing.T, f *fixture, p ticketPage, token string) {
		if a := f.submit(p.path, p.filled(token)); a.status != http.StatusOK || !strings.Contains(a.body, `class="mark"`) || !strings.Contains(a.body, `role="status"`) {
			t.Fatalf("success: %d %s", a.status, withoutStyle(a.body))
		}
		used, again := f.get(p.path+"?token="+token, nil), f.submit(p.path, p.filled(token))
		if used.status != http.StatusOK || again.status != http.StatusBadRequest || used.body != again.body {
			t.Errorf("the link %d, the button again %d: %s", used.status, again.status, withoutStyle(again.body))
		}
		// A password that was typed now was not set, and must not look so.
		confirmed := p.path == "/verify"
		if strings.Contains(used.body, `class="mark"`) != confirmed || strings.Contains(used.body, `href="reset"`) != confirmed || strings.Contains(used.body, `name="token"`) {
			t.Errorf("the used link: %s", withoutStyle(used.body))
		}
		id, _, _ := strings.Cut(token, ".")
		dead := f.get(p.path+"?token=made-up", nil)
		if other := f.get(p.path+"?token="+id+"."+strings.Repeat("A", 43), nil); other.body != dead.body {
			t.Errorf("another secret of the same ticket: %s", withoutStyle(other.body))
		}
		for _, other := range ticketPages {
			if other.path == p.path {
				continue
			}
			if a := f.get(other.path+"?token="+token, nil); a.status != http.StatusBadRequest || strings.Contains(a.body, "before") {
				t.Errorf("on %s: %d %s", other.path, a.status, withoutStyle(a.body))
			}
		}
		f.clock.Advance(8 * 24 * time.Hour)
		if late := f.get(p.path+"?token="+token, nil); late.body != dead.body {
			t.Errorf("after it has expired: %s", withoutStyle(late.body))
		}
	})
}

// TestACodeUsesTheLinkToo: both are of one ticket.
func TestACodeUsesTheLinkToo(t *testing.T) {
	f := mailFixture(t)
	f.post("/register", publicRoutes["POST /register"], nil)
	m := f.mail(message.Verify)
	f.want(f.post("/email/verify", `{"email":"grace@example.com","code":"`+m.Code+`"}`, nil), http.StatusNoContent, "")
	if a := f.get("/verify?token="+f.linkToken(m, "/verify"), nil); a.status != http.StatusOK || !strings.Contains(a.body, "already") {
		t.Errorf("the link after the code: %d %s", a.status, withoutStyle(a.body))
	}
}

// TestPagesSendAnotherMail, and say the same to everybody.
func TestPagesSendAnotherMail(t *testing.T) {
	for path, email := range map[string]string{"/verify": "grace@example.com", "/reset": "ada@example.com", "/accept": "ada@example.com"} {
		t.Run(path, func(t *testing.T) {
			f := mailFixture(t)
			f.post("/register", publicRoutes["POST /register"], nil)
			f.mails()
			known := f.submit(path, url.Values{"email": {email}})
			nobody := f.submit(path, url.Values{"email": {"nobody@example.com"}})
			if known.status != http.StatusAccepted || nobody.status != known.status || nobody.body != known.body {
				t.Errorf("known %d, nobody %d: %s", known.status, nobody.status, withoutStyle(nobody.body))
			}
			if sent := f.mails(); len(sent) != 1 || sent[0].To != email {
				t.Errorf("mails %+v, want one to %s", sent, email)
			}
			if a := f.submit(path, url.Values{"email": {"no address"}}); a.status != http.StatusBadRequest || !strings.Contains(a.body, `name="email"`) {
				t.Errorf("no address: %d %s", a.status, withoutStyle(a.body))
			}
			if a := f.send("POST", path, "email=ada%40example.com", fields{"Content-Type": asForm, "Origin": "https://evil.example"}); a.status != http.StatusForbidden {
				t.Errorf("another site's form: %d", a.status)
			}
			f.service.SendsMail = false
			if a := f.get(path+"?token=made-up", nil); strings.Contains(a.body, "<form") {
				t.Errorf("a mail is offered where none is sent: %s", withoutStyle(a.body))
			}
		})
	}
}

// TestPagesLeadOn to the address of the configuration, and no other.
func TestPagesLeadOn(t *testing.T) {
	const app = "https://app.example.com/login?from=mail"
	f := fixtureWith(t, sqlstore.Memory, func(c *auth.Config) {
		c.Registration, c.VerifyEmail, c.SendsMail, c.PublicURL = auth.RegistrationOpen, true, true, publicURL
	}, func(c *web.Config) { c.AppURL = app })
	p := ticketPages[0]
	token := p.prepare(f)
	if a := f.get(p.path+"?token="+token+"&app=https://evil.example", nil); strings.Contains(a.body, "href=") {
		t.Errorf("before it is done: %s", withoutStyle(a.body))
	}
	a := f.submit(p.path+"?app=https://evil.example", p.filled(token))
	if !strings.Contains(a.body, `href="`+app+`"`) || !strings.Contains(a.body, "Continue to app.example.com") || strings.Contains(a.body, "evil") {
		t.Errorf("when it is done: %s", withoutStyle(a.body))
	}
}

// TestResetPageTakesAnAddress of people who come from a used link, or by themselves.
func TestResetPageTakesAnAddress(t *testing.T) {
	f := mailFixture(t)
	if a := f.get("/reset", nil); a.status != http.StatusOK || !strings.Contains(a.body, `name="email"`) || strings.Contains(a.body, `role="alert"`) {
		t.Errorf("got %d %s", a.status, withoutStyle(a.body))
	}
	for _, path := range []string{"/reset?token=", "/verify", "/accept"} {
		if a := f.get(path, nil); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	f.service.SendsMail = false
	if a := f.get("/reset", nil); a.status != http.StatusBadRequest || strings.Contains(a.body, "<form") {
		t.Errorf("without mail: %d %s", a.status, withoutStyle(a.body))
	}
}
