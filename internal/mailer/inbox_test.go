package mailer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/message"
)

// clock is one second later each time it is read.
func clock() func() time.Time {
	var mu sync.Mutex
	now := start
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func stopped() time.Time { return start }

func newInbox(t testing.TB, dir string, now func() time.Time) *mailer.Inbox {
	t.Helper()
	i, err := mailer.NewInbox(dir, newTemplates(t), now)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func deliver(t testing.TB, i *mailer.Inbox, ids ...string) {
	t.Helper()
	for _, id := range ids {
		m := sample(message.Verify)
		m.ID = id
		if err := i.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// ids returns those of all messages, in order.
func ids(t testing.TB, i *mailer.Inbox) string {
	t.Helper()
	messages, err := i.Messages()
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, m := range messages {
		all = append(all, m.ID)
	}
	return strings.Join(all, " ")
}

// eachKind runs a test on an inbox in memory and on one in a directory.
func eachKind(t *testing.T, test func(t *testing.T, dir string)) {
	t.Run("in memory", func(t *testing.T) { test(t, "") })
	t.Run("in a directory", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "mail", "inbox")) })
}

func TestInboxIsInOrderOfArrival(t *testing.T) {
	backwards := func() func() time.Time {
		now := start
		return func() time.Time { now = now.Add(-time.Minute); return now }
	}
	for name, now := range map[string]func() time.Time{"the clock goes": clock(), "the clock stands still": stopped, "the clock goes back": backwards()} {
		eachKind(t, func(t *testing.T, dir string) {
			i := newInbox(t, dir, now)
			deliver(t, i, "c", "a", "b")
			if got := ids(t, i); got != "b a c" {
				t.Errorf("%s: got %s, want b a c", name, got)
			}
		})
	}
}

func TestAMessageReplacesItself(t *testing.T) {
	eachKind(t, func(t *testing.T, dir string) {
		i := newInbox(t, dir, clock())
		deliver(t, i, "a", "b")
		changed := sample(message.Reset)
		changed.ID = "a"
		if err := i.Send(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		messages, err := i.Messages()
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(t, i); got != "b a" || messages[1].Subject != "Set a new password for Example" || !messages[1].At.Equal(start.Add(time.Second)) {
			t.Errorf("got %s, the older %q of %s; want b a, the newer text at the first time", got, messages[1].Subject, messages[1].At)
		}
	})
}

func TestInboxKeepsTheNewest200(t *testing.T) {
	eachKind(t, func(t *testing.T, dir string) {
		i := newInbox(t, dir, stopped)
		for n := range 205 {
			deliver(t, i, fmt.Sprint(n))
		}
		got := strings.Fields(ids(t, i))
		if len(got) != 200 || got[0] != "204" || got[199] != "5" {
			t.Errorf("%d messages from %s to %s, want 200 from 204 to 5", len(got), got[0], got[len(got)-1])
		}
		if dir == "" {
			return
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 200 {
			t.Errorf("%d files, want 200", len(files))
		}
	})
}

func TestInboxOutlivesItsProcess(t *testing.T) {
	dir := t.TempDir()
	first := newInbox(t, dir, clock())
	deliver(t, first, "a", "b")
	want, err := first.Messages()
	if err != nil {
		t.Fatal(err)
	}
	got, err := newInbox(t, dir, clock()).Messages()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a restart (-want +got)\n%s", diff)
	}
}

func TestTwoInboxesShareADirectory(t *testing.T) {
	dir := t.TempDir()
	one, other := newInbox(t, dir, stopped), newInbox(t, dir, stopped)
	deliver(t, one, "a")
	deliver(t, other, "b")
	deliver(t, one, "c")
	if got, too := ids(t, one), ids(t, other); got != "c b a" || too != got {
		t.Errorf("one has %s, the other %s; want c b a", got, too)
	}
	var wg sync.WaitGroup
	for n, i := range []*mailer.Inbox{one, other, one, other} {
		wg.Go(func() {
			for k := range 60 { // some in both, and more than are kept
				deliver(t, i, fmt.Sprint(n/2, "-", k))
				if _, err := i.Messages(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, id := range strings.Fields(ids(t, one)) {
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
	if len(seen) != 123 {
		t.Errorf("%d messages, want 123", len(seen))
	}
}

func TestInboxFilesAreForTheirOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "inbox")
	i := newInbox(t, dir, stopped)
	deliver(t, i, "../../etc/passwd\x00")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory has %v, %v; want 0700", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v; want 1", len(files), err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file has %v, %v; want 0600", info.Mode(), err)
	}
}

func TestInboxLeavesOtherFilesAlone(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for name, stays := range map[string]bool{"notes.json": true, ".gitignore": true, ".new-1": false, ".new-fresh": true} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != ".new-fresh" {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
		deliver(t, newInbox(t, dir, clock()), "a")
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s stays: %t, want %t", name, err == nil, stays)
		}
	}
}

func TestADamagedMessageIsNamed(t *testing.T) {
	dir := t.TempDir()
	i := newInbox(t, dir, stopped)
	deliver(t, i, "a")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, files[0].Name())
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Messages(); err == nil || !strings.Contains(err.Error(), path+" is damaged, delete it") {
		t.Errorf("got %v, want the name of the file and what to do", err)
	}
}

func ask(t *testing.T, i *mailer.Inbox, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w
}

func TestInboxAsJSON(t *testing.T) {
	i := newInbox(t, "", clock())
	if got := ask(t, i, "GET", "/inbox.json").Body.String(); got != `{"messages":[]}`+"\n" {
		t.Errorf("empty: %s", got)
	}
	deliver(t, i, "a")
	notice := sample(message.PasswordChanged)
	notice.ID = "b"
	if err := i.Send(t.Context(), notice); err != nil {
		t.Fatal(err)
	}
	w := ask(t, i, "GET", "/inbox.json")
	var got struct{ Messages []map[string]any }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	verify, changed := render(t, sample(message.Verify)), render(t, notice)
	want := []map[string]any{
		{"id": "b", "at": "2026-03-14T09:26:55Z", "to": "ada@example.com", "subject": changed.Subject, "text": changed.Text, "html": changed.HTML, "links": []any{}},
		{"id": "a", "at": "2026-03-14T09:26:54Z", "to": "ada@example.com", "subject": verify.Subject, "text": verify.Text, "html": verify.HTML, "links": []any{link}, "code": code},
	}
	if diff := cmp.Diff(want, got.Messages); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
}

func TestInboxAsAPage(t *testing.T) {
	i := newInbox(t, "", clock())
	if page := ask(t, i, "GET", "/inbox").Body.String(); !strings.Contains(page, "No mail yet") || !strings.Contains(page, "<code>POST /register</code>") {
		t.Errorf("the empty page does not say how mail is made:\n%s", page)
	}
	m := sample(message.Verify)
	m.ID, m.Name, m.Device = "a", "<script>alert(1)<script>", "</pre><script>alert(2)</script>"
	if err := i.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	notice := sample(message.EmailChanging)
	notice.ID, notice.To, notice.NewEmail = "b", "bob@example.com", "</pre><script>alert(3)</script>@example.com"
	if err := i.Send(t.Context(), notice); err != nil {
		t.Fatal(err)
	}
	page := ask(t, i, "GET", "/inbox").Body.String()
	at := 0
	for _, part := range []string{
		"Your address at Example is about to change", "to bob@example.com", "2026-03-14 09:26:55 UTC", "&lt;/pre&gt;&lt;script&gt;alert(3)",
		"Confirm your address for Example", "to ada@example.com", "2026-03-14 09:26:54 UTC",
		`<a href="` + link + `" rel="noreferrer" target="_blank">`, `<p class="code">` + code + "</p>", "<pre>Hello,", `<iframe sandbox="" `,
	} {
		n := strings.Index(page[at:], part)
		if n < 0 {
			t.Fatalf("%q is missing or out of order in\n%s", part, page)
		}
		at += n
	}
	for _, tag := range []string{"<script", "</script", "onerror", "http-equiv"} {
		if strings.Contains(page, tag) {
			t.Errorf("%q in\n%s", tag, page)
		}
	}
	if n := strings.Count(page, "</pre>"); n != 2 {
		t.Errorf("%d texts end, want 2", n)
	}
}

func TestInboxAnswersAreLockedUp(t *testing.T) {
	i := newInbox(t, "", clock())
	deliver(t, i, "a", "b")
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/inbox", 200}, {"HEAD", "/inbox", 200}, {"GET", "/inbox.json", 200}, {"HEAD", "/inbox.json", 200},
		{"POST", "/inbox", 405}, {"DELETE", "/inbox.json", 405}, {"GET", "/inbox/", 404}, {"GET", "/", 404},
	} {
		w := ask(t, i, c.method, c.path)
		if w.Code != c.status {
			t.Errorf("%s %s is %d, want %d", c.method, c.path, w.Code, c.status)
		}
		if (w.Body.Len() == 0) != (c.method == "HEAD") {
			t.Errorf("%s %s has a body of %d bytes", c.method, c.path, w.Body.Len())
		}
		if c.status == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s allows %q", c.method, c.path, w.Header().Get("Allow"))
		}
		for header, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, header, got, want)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.HasSuffix(policy, "base-uri 'none'; form-action 'none'; frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s %s has the policy %s", c.method, c.path, policy)
		}
	}
}

// The page and the mails in it, whose frames inherit the policy, keep their looks.
func TestThePolicyKnowsEveryStyle(t *testing.T) {
	i := newInbox(t, "", clock())
	deliver(t, i, "a", "b")
	w := ask(t, i, http.MethodGet, "/inbox")
	policy := w.Header().Get("Content-Security-Policy")
	for name, html := range map[string]string{"page": w.Body.String(), "mail": render(t, sample(message.Verify)).HTML} {
		_, css, _ := strings.Cut(html, "<style>")
		css, _, found := strings.Cut(css, "</style>")
		sum := sha256.Sum256([]byte(css))
		if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !found || !strings.Contains(policy, want) {
			t.Errorf("the style of the %s is not in the policy %s", name, policy)
		}
	}
	if n := strings.Count(policy, "sha256-"); n != 2 {
		t.Errorf("%d styles in the policy, want 2", n)
	}
}
