package forwardauth

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// guide is the document whose configurations the tests run.
const guide = "../../docs/proxies.md"

// block is the first code block of a language in the guide.
func block(t *testing.T, language string) string {
	t.Helper()
	doc, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "```"+language+"\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("%s has no block of %s", guide, language)
	}
	return text
}

// replaced has each text in place of another one, which has to be there.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the configuration does not have %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// behind is a server behind a real proxy that asks a handler of ours.
type behind struct {
	proxy  string // its address
	latch  *httptest.Server
	issuer *latchkeytest.Issuer
	asked  atomic.Int64 // requests that have come to the server behind
}

// startBehind starts the proxy by the command that configure returns, which listens on
// the address it is given.
func startBehind(t *testing.T, kind Proxy, program string, configure func(t *testing.T, dir, listen, latch, app string) *exec.Cmd) *behind {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("NOT TESTED: %s is not installed", program)
	}
	b := &behind{issuer: latchkeytest.NewIssuer(t)}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		for name := range r.Header {
			// CGI and its heirs read "_" as "-".
			if strings.ContainsAny(name, "_.") {
				fmt.Fprintf(w, "%s ", name)
			}
		}
		fmt.Fprintf(w, "sub=%q username=%q scope=%q", r.Header["X-Latchkey-Sub"], r.Header["X-Latchkey-Username"], r.Header["X-Latchkey-Scope"])
	}))
	t.Cleanup(app.Close)
	b.latch = httptest.NewServer(door(t, kind, authorizer(t, b.issuer)))
	t.Cleanup(b.latch.Close)
	b.proxy = freeAddress(t)
	cmd := configure(t, t.TempDir(), b.proxy, b.latch.Listener.Addr().String(), app.Listener.Addr().String())
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s says:\n%s", program, log.String())
		}
	})
	for end := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", b.proxy)
		if err == nil {
			conn.Close()
			return b
		}
		select {
		case <-ended:
			t.Fatalf("%s has ended", program)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen", program)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// send writes a request as it is, and returns status and body.
func (b *behind) send(t *testing.T, line string, headers ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", b.proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, "%s\r\n%s\r\n\r\n", line, strings.Join(append(headers, "Connection: close"), "\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer r.Body.Close()
	body := make([]byte, 1000)
	n, _ := r.Body.Read(body)
	return r, string(body[:n])
}

func startNginx(t *testing.T) *behind {
	return startBehind(t, Nginx, "nginx", func(t *testing.T, dir, listen, latch, app string) *exec.Cmd {
		server := replaced(t, block(t, "nginx"), "listen 80;", "listen "+listen+";", "127.0.0.1:8080", latch, "127.0.0.1:3000", app)
		conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr warn; events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
%[2]s}
`, dir, server)
		path := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", path)
	})
}

func startCaddy(t *testing.T) *behind {
	return startBehind(t, Caddy, "caddy", func(t *testing.T, dir, listen, latch, app string) *exec.Cmd {
		site := replaced(t, block(t, "caddyfile"), "api.example.com {", "http://"+listen+" {", "127.0.0.1:8080", latch, "127.0.0.1:3000", app)
		path := filepath.Join(dir, "Caddyfile")
		if err := os.WriteFile(path, []byte("{\nadmin off\nauto_https off\n}\n"+site), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", path)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd
	})
}

// TestRealProxies sends what clients send, and what attackers do, through the
// configurations of the guide.
func TestRealProxies(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *behind{"nginx": startNginx, "caddy": startCaddy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			host := "Host: " + b.proxy
			ada := "Authorization: Bearer " + b.issuer.Token("ada", "orders:write")
			spoofed := []string{host, "X-Latchkey-Sub: root", "X-Latchkey-Username: root", "X-Latchkey-Scope: admin", "X_Latchkey_Sub: root", "X-Latchkey_Sub: root", "x_latchkey-sub: root", "x.latchkey.sub: root"}
			instead := []string{host, ada, "X-Original-URI: /health", "X-Original-Method: GET", "X-Forwarded-Uri: /health", "X-Forwarded-Method: GET",
				"X-Original-URL: /health", "X-Rewrite-URL: /health", "X-HTTP-Method-Override: GET"}
			for _, c := range []struct {
				line    string
				headers []string
				want    string // statuses that are right
			}{
				{"GET /health HTTP/1.1", []string{host}, "200"},
				{"GET /health HTTP/1.0", []string{host}, "200"},
				{"GET /orders/1 HTTP/1.1", []string{host}, "401"},
				{"GET /orders/1 HTTP/1.0", []string{host}, "401"},
				{"GET /orders/1 HTTP/1.1", []string{host, ada}, "200"},
				{"GET /orders/1?a=/../../admin HTTP/1.1", []string{host, ada}, "200"},
				{"POST /orders HTTP/1.1", []string{host, ada, "Content-Length: 0"}, "200"},
				{"POST /orders HTTP/1.1", []string{host, "Content-Length: 0"}, "401"},
				{"GET /admin HTTP/1.1", []string{host, ada}, "403"},
				{"GET /admin HTTP/1.1", instead, "403"},
				{"DELETE /orders/1 HTTP/1.1", instead, "403"},
				{"GET /admin HTTP/1.1", append([]string{host}, instead[2:]...), "401"},
				{"GET http://" + b.proxy + "/admin HTTP/1.1", []string{host, ada}, "403"},
				{"GET http://" + b.proxy + "/health/../admin HTTP/1.1", []string{host, ada}, "403 400"},
				{"GET /health/../admin HTTP/1.1", []string{host}, "401 403"},
				{"GET /health/%2e%2e/admin HTTP/1.1", []string{host}, "401 403"},
				{"GET //admin HTTP/1.1", []string{host, ada}, "403"},
				{"GET /orders/1%2Frefunds HTTP/1.1", []string{host, ada}, "403"},
				{"GET /orders/1%2frefunds HTTP/1.1", []string{host, ada}, "403"},
				{"GET /orders//refunds HTTP/1.1", []string{host, ada}, "403"},
				{"GET /orders/1/refunds HTTP/1.1", []string{host, ada}, "403"},
				{"GET /forward-auth HTTP/1.1", []string{host, ada, "X-Original-URI: /health", "X-Original-Method: GET"}, "403 404"},
				{"GET /admin HTTP/1.1", []string{host, ada, ada}, "400 401"},
				{"GET /orders/" + strings.Repeat("x", 7000) + " HTTP/1.1", []string{host, ada}, "200 403 414"},
			} {
				before := b.asked.Load()
				r, body := b.send(t, c.line, c.headers...)
				status := fmt.Sprint(r.StatusCode)
				if !strings.Contains(c.want, status) {
					t.Errorf("%.80s: %s %q, want %s", c.line, status, body, c.want)
				}
				if passed := b.asked.Load() > before; passed != (status == "200") {
					t.Errorf("%.80s: %s, passed on %v", c.line, status, passed)
				}
			}
			if r, _ := b.send(t, "GET /orders/1 HTTP/1.1", host); r.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("the challenge is %q", r.Header.Get("WWW-Authenticate"))
			}
			// The challenge of another sign-in comes through the proxy.
			plain := "Authorization: Bearer " + signedIn(b.issuer, "", "1", []string{"pwd"}, time.Minute)
			before := b.asked.Load()
			r, _ := b.send(t, "POST /transfer HTTP/1.1", host, plain, "Content-Length: 0")
			if want := `Bearer error="insufficient_user_authentication", acr_values="2", max_age="600"`; r.StatusCode != 401 || r.Header.Get("WWW-Authenticate") != want || b.asked.Load() != before {
				t.Errorf("a route that asks for another sign-in: %d %q, passed on %v", r.StatusCode, r.Header["Www-Authenticate"], b.asked.Load() != before)
			}
			twice := "Authorization: Bearer " + signedIn(b.issuer, "", "2", []string{"pwd", "otp"}, time.Minute)
			if r, _ := b.send(t, "POST /transfer HTTP/1.1", host, twice, "Content-Length: 0"); r.StatusCode != 200 {
				t.Errorf("after that sign-in: %d", r.StatusCode)
			}
			identity := regexp.MustCompile(`^sub=\["ada"\] username=\["ada"\] scope=\["orders:write"\]$`)
			if _, body := b.send(t, "GET /orders/1 HTTP/1.1", append(spoofed, ada)...); !identity.MatchString(body) {
				t.Errorf("the server behind is told %s", body)
			}
			// Headers that Connection names are for one hop, and proxies drop them.
			if _, body := b.send(t, "GET /orders/1 HTTP/1.1", host, ada, "Connection: X-Latchkey-Sub, x-latchkey-scope"); !identity.MatchString(body) {
				t.Errorf("with a Connection that names them the server behind is told %s", body)
			}
			if _, body := b.send(t, "GET /health HTTP/1.1", spoofed...); strings.Contains(body, "root") || strings.Contains(body, "admin") || strings.Contains(body, "_") {
				t.Errorf("the server behind a public route is told %s", body)
			}
			b.latch.Close()
			before = b.asked.Load()
			if r, _ := b.send(t, "GET /orders/1 HTTP/1.1", host, ada); r.StatusCode < 500 || b.asked.Load() != before {
				t.Errorf("without an answer of ours: %d, passed on %v", r.StatusCode, b.asked.Load() != before)
			}
		})
	}
}
