package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/opaque"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

//go:embed pages
var pageFiles embed.FS

// pageTemplate is parsed when a page is first shown: most processes, and all commands, never do.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/page.html"))
})

// pageStyle stands in the page, and its hash in the policy: nothing else on the
// page may style it, and nothing at all may run.
var pageStyle = func() template.CSS {
	text, err := pageFiles.ReadFile("pages/page.css")
	if err != nil {
		panic(err) // it is compiled in
	}
	return template.CSS(text)
}()

var pagePolicy = func() string {
	hash := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// A page is what a link in a mail opens. To get it changes nothing, so that
// programs that look into mails use nothing up; its button posts a form. A link
// that is of no use says so, and offers another mail by a form of its own.
type page struct {
	title, text  string
	button       string
	needPassword bool
	doneTitle    string
	done         string
	used         string // of a link that was redeemed before, which showed doneTitle
	ask          string // of the page without a link, where people may ask for one; empty: they may not
	purposes     []storage.Purpose
	// another mails a new link to an address, and says nothing of it.
	another func(s *auth.Service, ctx context.Context, email string, c auth.Client) error
}

var (
	verifyPage = page{
		title: "Confirm your address", text: "Press the button to confirm that this e-mail address is yours.",
		button: "Confirm", doneTitle: "Address confirmed", done: "You can log in now.",
		used:     "This address was confirmed by this link already. You can log in now.",
		purposes: []storage.Purpose{storage.PurposeRegister, storage.PurposeVerify},
		another:  (*auth.Service).ResendVerification,
	}
	resetPage = page{
		title: "Set a new password", text: "Choose a new password. You will be logged out everywhere.",
		button: "Set password", needPassword: true, doneTitle: "New password set", done: "You are logged out everywhere. Log in with the new password.",
		used:     "A password was set by this link before, and a link works once. Log in with that password, or ask for another mail.",
		ask:      "Type the e-mail address of your account, and a link to set a new password goes there.",
		purposes: []storage.Purpose{storage.PurposeReset},
		another:  (*auth.Service).ForgotPassword,
	}
	acceptPage = page{
		title: "Accept the invitation", text: "Choose a password for your account.",
		button: "Set password", needPassword: true, doneTitle: "Your account is ready", done: "You can log in now.",
		used:     "A password was set by this link before, and a link works once. Log in with that password, or ask for another mail.",
		purposes: []storage.Purpose{storage.PurposeInvite},
		another:  (*auth.Service).ForgotPassword,
	}
)

// The texts of a link that is of no use. The first one is the same for links that
// are made up, replaced and expired.
const (
	deadLink       = "This link does not work any more: it has expired, or a later mail has replaced it."
	incompleteLink = "This link is not complete. Open it from the mail, or copy all of it."
	usedLink       = "This link has been used"
)

// pageView is what the template shows. Each form is there when its button is.
type pageView struct {
	Service, Title, Text, Fault string
	Style                       template.CSS
	Done                        bool // it has come to a good end
	Email                       string
	// The form that redeems the link.
	Token, Button string
	NeedPassword  bool
	MinPassword   int
	// The form that asks for another mail.
	Another string
	Forgot  bool   // shows the way to a new password
	AppURL  string // where to go next; empty: not known
	AppName string
}

func (h *handler) view(p page) pageView {
	v := pageView{Service: h.ServiceName, Title: p.title, Style: pageStyle, MinPassword: h.Service.Passwords.Min}
	if u, err := url.Parse(h.AppURL); err == nil {
		v.AppURL, v.AppName = h.AppURL, u.Host
	}
	return v
}

// asking shows the form that redeems a good link.
func (h *handler) asking(p page, token, email string) pageView {
	v := h.view(p)
	v.Text, v.Token, v.Email, v.Button, v.NeedPassword = p.text, token, email, p.button, p.needPassword
	v.AppURL = ""
	return v
}

// ended shows a good end.
func (h *handler) ended(p page, title, text string) pageView {
	v := h.view(p)
	v.Done, v.Title, v.Text = true, title, text
	return v
}

// usedBefore shows what a link has done. Where it has set a password, that must
// not look like success: the person may have typed another one.
func (h *handler) usedBefore(p page) pageView {
	if !p.needPassword {
		v := h.ended(p, p.doneTitle, p.used)
		v.Forgot = h.Service.SendsMail
		return v
	}
	v := h.refused(p, p.used)
	v.Title = usedLink
	return v
}

// refused says why the link is of no use, and offers another mail.
func (h *handler) refused(p page, fault string) pageView {
	v := h.view(p)
	v.Fault, v.AppURL = fault, ""
	if h.Service.SendsMail {
		v.Another = "Send another mail"
	}
	return v
}

func (h *handler) showPage(p page) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		token := r.URL.Query().Get("token")
		if p.ask != "" && h.Service.SendsMail && !r.URL.Query().Has("token") {
			v := h.view(p)
			v.Text, v.Another, v.AppURL = p.ask, "Send the link", ""
			return h.writePage(w, http.StatusOK, v)
		}
		if token == "" || len(token) > opaque.MaxToken {
			return h.writePage(w, http.StatusBadRequest, h.refused(p, incompleteLink))
		}
		return h.showLink(w, r, p, token, http.StatusOK)
	}
}

// showLink shows the form of a good link, and otherwise what has become of it.
func (h *handler) showLink(w http.ResponseWriter, r *http.Request, p page, token string, status int) error {
	link, err := h.Service.LookAtLink(r.Context(), token, p.purposes...)
	switch {
	case err != nil:
		problem := h.report(w, r, err)
		return h.writePage(w, problem.Status, h.faulty(p, "", problem.Detail))
	case link.State == auth.LinkUsed:
		return h.writePage(w, status, h.usedBefore(p))
	case link.State == auth.LinkDead:
		return h.writePage(w, http.StatusBadRequest, h.refused(p, deadLink))
	}
	return h.writePage(w, status, h.asking(p, token, link.Email))
}

// faulty says what went wrong; with a token it can be tried again.
func (h *handler) faulty(p page, token, fault string) pageView {
	v := h.asking(p, token, "")
	v.Text, v.Fault = "", fault
	return v
}

func (h *handler) writePage(w http.ResponseWriter, status int, v pageView) error {
	var doc bytes.Buffer
	if err := pageTemplate().Execute(&doc, v); err != nil {
		return fmt.Errorf("rendering page: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	// no-referrer would have browsers send "Origin: null" with the form (Fetch
	// standard, "append a request Origin header"). The token in the URL stays out of
	// Referer with this one too.
	header.Set("Referrer-Policy", "strict-origin")
	w.WriteHeader(status)
	_, err := w.Write(doc.Bytes())
	return err
}

// submit answers the forms of a page: the one that redeems its link, and the one
// that asks for another mail.
func (h *handler) submit(p page, redeem func(ctx context.Context, r auth.TicketRequest, password string) error) func(http.ResponseWriter, *http.Request) error {
	members := []string{"token"}
	if p.needPassword {
		members = append(members, "password")
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		form, err := h.decodeForm(w, r, members, []string{"email"})
		switch {
		case err != nil:
		case form["email"] != "":
			return h.sendAnother(w, r, p, form["email"])
		default:
			err = redeem(r.Context(), auth.TicketRequest{Token: form["token"], Client: client(r)}, form["password"])
		}
		return h.finishPage(w, r, p, form["token"], err)
	}
}

func (h *handler) submitVerify() func(http.ResponseWriter, *http.Request) error {
	return h.submit(verifyPage, func(ctx context.Context, r auth.TicketRequest, _ string) error {
		return h.Service.VerifyAddress(ctx, r)
	})
}

// sendAnother answers alike for addresses that get a mail and those that do not.
func (h *handler) sendAnother(w http.ResponseWriter, r *http.Request, p page, email string) error {
	if err := p.another(h.Service, r.Context(), email, client(r)); err != nil {
		v := h.refused(p, "")
		problem := h.report(w, r, err)
		v.Fault = problem.Detail
		var invalid *auth.InvalidError
		if errors.As(err, &invalid) {
			v.Fault = "The address " + invalid.Reason + "."
		}
		return h.writePage(w, problem.Status, v)
	}
	v := h.ended(p, "Look into your mail", "If this address can get such a mail, it is on its way. It may take a minute.")
	v.AppURL = ""
	return h.writePage(w, http.StatusAccepted, v)
}

// finishPage shows what came of it: people get no problem+json. A link that was
// redeemed before says so, which is what a button pressed twice finds.
func (h *handler) finishPage(w http.ResponseWriter, r *http.Request, p page, token string, err error) error {
	if err == nil {
		return h.writePage(w, http.StatusOK, h.ended(p, p.doneTitle, p.done))
	}
	problem := h.report(w, r, err)
	var invalid *auth.InvalidError
	switch {
	case errors.As(err, &invalid):
		v := h.faulty(p, token, "The "+invalid.Field+" "+invalid.Reason+".")
		if link, err := h.Service.LookAtLink(r.Context(), token, p.purposes...); err == nil { // without it the form is good all the same
			v.Email = link.Email
		}
		return h.writePage(w, problem.Status, v)
	case errors.Is(err, auth.ErrInvalidTicket):
		return h.showLink(w, r, p, token, problem.Status)
	}
	return h.writePage(w, problem.Status, h.faulty(p, token, problem.Detail))
}

// decodeForm reads a form with exactly the members of one of the kinds, once each.
func (h *handler) decodeForm(w http.ResponseWriter, r *http.Request, kinds ...[]string) (map[string]string, error) {
	values := make(map[string]string)
	if !h.ownForm(r) {
		return values, &requestError{status: http.StatusForbidden, code: "cross_site", detail: "The form was sent by another site's page. Open the link from the mail."}
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.Header.Get("Content-Encoding") != "" {
		return values, &requestError{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type", detail: "This path takes a form. Programs use the JSON routes."}
	}
	body, err := readBody(w, r)
	if err != nil {
		return values, err
	}
	form, err := url.ParseQuery(string(body))
	kind := slices.IndexFunc(kinds, func(names []string) bool { return complete(form, names) })
	if err != nil || kind < 0 {
		return values, badRequest("invalid_body", "The form is not complete. Open the link from the mail again.")
	}
	for _, name := range kinds[kind] {
		if err := checkLength(name, form[name][0]); err != nil {
			return values, err
		}
		values[name] = form[name][0]
	}
	return values, nil
}

// complete reports whether the form has these members, each once, and no other.
func complete(form url.Values, names []string) bool {
	for _, name := range names {
		if len(form[name]) != 1 || form[name][0] == "" {
			return false
		}
	}
	return len(form) == len(names)
}
