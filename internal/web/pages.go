package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

//go:embed pages
var pageFiles embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFiles, "pages/page.html"))

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
// programs that look into mails use nothing up; its button posts a form.
type page struct {
	title, text  string
	button       string
	needPassword bool
	doneTitle    string
	done         string
	again        string // what to do when the link is of no use
}

var (
	verifyPage = page{
		title: "Confirm your address", text: "Press the button to confirm that this e-mail address is yours.",
		button: "Confirm", doneTitle: "Address confirmed", done: "Your address is confirmed. You can close this page and log in.",
		again: "Register again, or ask for another mail.",
	}
	resetPage = page{
		title: "Set a new password", text: "Choose a new password. You will be logged out everywhere.",
		button: "Set password", needPassword: true, doneTitle: "New password set", done: "Your new password is set, and you are logged out everywhere. You can close this page and log in.",
		again: "Ask for another mail.",
	}
	acceptPage = page{
		title: "Accept the invitation", text: "Choose a password for your account.",
		button: "Set password", needPassword: true, doneTitle: "Account ready", done: "Your account is ready. You can close this page and log in.",
		again: "Ask whoever invited you for another mail.",
	}
)

// pageView is what the template shows.
type pageView struct {
	Service, Title, Text, Fault string
	Style                       template.CSS
	// Without a token there is no form.
	Token, Button string
	NeedPassword  bool
	MinPassword   int
	Done          bool // it looks like success
}

func (h *handler) showPage(p page) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		token := r.URL.Query().Get("token")
		if token == "" || len(token) > auth.MaxToken {
			return h.writePage(w, http.StatusBadRequest, p, "", "This link is not complete. Open it from the mail, or copy all of it.")
		}
		return h.writePage(w, http.StatusOK, p, token, "")
	}
}

// writePage shows the form again where there is a token, or else why there is
// none.
func (h *handler) writePage(w http.ResponseWriter, status int, p page, token, fault string) error {
	v := pageView{
		Service: h.ServiceName, Title: p.title, Text: p.text, Fault: fault, Style: pageStyle,
		Token: token, Button: p.button, NeedPassword: p.needPassword, MinPassword: h.Service.Passwords.Min,
	}
	if token == "" && fault == "" {
		v.Title, v.Text, v.Done = p.doneTitle, p.done, true
	}
	var doc bytes.Buffer
	if err := pageTemplate.Execute(&doc, v); err != nil {
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

func (h *handler) submitVerify(w http.ResponseWriter, r *http.Request) error {
	form, err := h.decodeForm(w, r, "token")
	if err == nil {
		err = h.Service.VerifyAddress(r.Context(), auth.TicketRequest{Token: form["token"], Client: client(r)})
	}
	return h.finishPage(w, r, verifyPage, form["token"], err)
}

func (h *handler) submitPassword(p page) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		form, err := h.decodeForm(w, r, "token", "password")
		if err == nil {
			err = h.Service.ResetPassword(r.Context(), auth.TicketRequest{Token: form["token"], Client: client(r)}, form["password"])
		}
		return h.finishPage(w, r, p, form["token"], err)
	}
}

// finishPage shows what came of it: people get no problem+json.
func (h *handler) finishPage(w http.ResponseWriter, r *http.Request, p page, token string, err error) error {
	if err == nil {
		return h.writePage(w, http.StatusOK, p, "", "")
	}
	problem := h.report(w, r, err)
	fault := problem.Detail
	var invalid *auth.InvalidError
	switch {
	case errors.As(err, &invalid):
		fault = "The " + invalid.Field + " " + invalid.Reason + "."
	case errors.Is(err, auth.ErrInvalidTicket):
		token, fault = "", "This link has been used or replaced, or has expired. "+p.again
	}
	return h.writePage(w, problem.Status, p, token, fault)
}

// decodeForm reads a form with exactly the given members, once each.
func (h *handler) decodeForm(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
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
	if err != nil || len(form) != len(names) {
		return values, badRequest("invalid_body", "The form is not complete. Open the link from the mail again.")
	}
	for _, name := range names {
		if len(form[name]) != 1 || form[name][0] == "" {
			return values, badRequest("invalid_body", "The form is not complete. Open the link from the mail again.")
		}
		if err := checkLength(name, form[name][0]); err != nil {
			return values, err
		}
		values[name] = form[name][0]
	}
	return values, nil
}
