package offline

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// A Landing is what the page at PagePrefix tells beside the routes.
type Landing struct {
	Base           string // URL of this server, for commands to copy
	Service        string // function that answers the routes of the auth service
	User, Password string // of the demo user; empty: there is none
}

//go:embed landing.html
var landingHTML string

var landingPage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("landing.html").Parse(landingHTML))
})

var landingPolicy = func() string {
	_, rest, _ := strings.Cut(landingHTML, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

type landingView struct {
	Landing
	Own, Others []gateway.Route
	Inbox       bool
}

// serveLanding shows the routes of the table that answers now.
func (a *api) serveLanding(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", landingPolicy)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "this page can only be read: GET", http.StatusMethodNotAllowed)
		return
	}
	v := landingView{Landing: *a.Landing, Inbox: a.Pages["/inbox"] != nil}
	for _, route := range a.Table.Routes() {
		if route.To == v.Service {
			v.Others = append(v.Others, route)
		} else {
			v.Own = append(v.Own, route)
		}
	}
	v.Own, v.Others = foldVerbs(v.Own), foldVerbs(v.Others)
	var body bytes.Buffer
	if err := landingPage().Execute(&body, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body.Bytes())
	}
}
