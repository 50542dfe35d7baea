package mailer

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed inbox.html
var inboxHTML string

var inboxPage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("inbox.html").Parse(inboxHTML))
})

// ServeHTTP answers GET /inbox and GET /inbox.json.
func (i *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", policy(""))
	if r.URL.Path != "/inbox" && r.URL.Path != "/inbox.json" {
		http.Error(w, "there are /inbox and /inbox.json", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "the inbox can only be read: GET", http.StatusMethodNotAllowed)
		return
	}
	entries, err := i.Messages()
	if err != nil { // who reads this owns the files
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var body bytes.Buffer
	if r.URL.Path == "/inbox.json" {
		header.Set("Content-Type", "application/json")
		err = json.NewEncoder(&body).Encode(struct {
			Messages []Entry `json:"messages"`
		}{entries})
	} else {
		header.Set("Content-Type", "text/html; charset=utf-8")
		err = inboxPage().Execute(&body, entries)
		header.Set("Content-Security-Policy", policy(styles(body.Bytes(), entries)))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body.Bytes())
	}
}

// policy allows nothing but the styles. Frames of mail inherit it.
func policy(styles string) string {
	return "default-src 'none'; " + styles + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

var style = lazily(`(?s)<style>(.*?)</style>`)

// styles names, by hash, the style of the page and those of the mails in it.
func styles(page []byte, entries []Entry) string {
	var sources []string
	add := func(text []byte) {
		for _, found := range style.compiled().FindAllSubmatch(text, -1) {
			sum := sha256.Sum256(found[1])
			source := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		}
	}
	add(page) // the mails in it are escaped
	for _, e := range entries {
		add([]byte(e.HTML))
	}
	return "style-src " + strings.Join(sources, " ") + "; "
}
