package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/web"
	"github.com/latchkey-auth/latchkey/internal/web/contract"
)

// TestTrialShutdown ends the program by SIGTERM while a hundred logins are under
// way: each is answered, and the program ends well.
//
// A hash is dear enough for most of them to be under way, and all are cheap enough
// for a machine that is busy with something else: hashes get a tenth of it, and who
// has waited for one for four seconds is told to come again.
func TestTrialShutdown(t *testing.T) {
	const clients = 100
	answered, before := 0, 0
	for range inForm(1, 100) {
		dir := t.TempDir()
		p := startService(t, dir, []string{"LATCHKEY_ARGON2=m=512,t=1,p=1"}, "--no-verify-email", "--data", ":memory:")
		c := newCaller(t)
		c.must(t, http.StatusCreated, p.url, "", "POST /register", "email", "ada@example.com", "password", trialPassword)
		// Each has a connection of its own that the server knows.
		var ready sync.WaitGroup
		callers := make([]*caller, clients)
		for i := range callers {
			callers[i] = newCaller(t)
			ready.Go(func() { callers[i].must(t, http.StatusOK, p.url, "", "GET /livez") })
		}
		ready.Wait()
		var failed atomic.Int32
		over := make(chan struct{}, clients) // gets one for each login, with any outcome
		var sent, done sync.WaitGroup
		sent.Add(clients)
		for _, caller := range callers {
			done.Go(func() {
				defer func() { over <- struct{}{} }()
				body := `{"username":"ada@example.com","password":"` + trialPassword + `"}`
				wrote := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent.Done() }})
				r, err := http.NewRequestWithContext(wrote, "POST", p.url+"/login", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.GetBody = nil // so that the client does not send it again by itself
				res, err := caller.Do(r)
				if err != nil {
					t.Errorf("a login under way: %v", err)
					failed.Add(1)
					return
				}
				defer res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("a login under way is answered %s", res.Status)
					failed.Add(1)
				}
			})
		}
		// All are written and read, and a tenth of them answered: the others wait for
		// a hash by now.
		sent.Wait()
		for p.unread(t) > 0 {
			runtime.Gosched()
		}
		for range clients / 10 {
			<-over
		}
		before += clients/10 + len(over)
		p.terminate(t)
		done.Wait()
		answered += clients - int(failed.Load())
	}
	t.Logf("%d requests were answered, %d of them under way at SIGTERM", answered, answered-before)
}

// goodRequests are of every route, with what a mutation may start from.
func goodRequests(bearer string) []string {
	bodies := map[string]string{
		"POST /register":            `{"email":"ada@example.com","password":"correct horse battery","name":"Ada"}`,
		"POST /email/verify":        `{"email":"ada@example.com","code":"ACDE-FGHJ"}`,
		"POST /email/verify/resend": `{"email":"ada@example.com"}`,
		"POST /login":               `{"username":"ada@example.com","password":"correct horse battery"}`,
		"POST /token/refresh":       `{"refresh_token":"g3oqmjmdqdwuj25bvvyzxsffsr.0.PYtrhU8ZGB7B8IyosCESe5854vYhuIhrJRf8weJ5Ka4"}`,
		"POST /logout":              `{"scope":"others"}`,
		"POST /password/forgot":     `{"email":"ada@example.com"}`,
		"POST /password/reset":      `{"token":"AAAAAAAAAAAAAAAAAAAAAA.PYtrhU8ZGB7B8IyosCESe5854vYhuIhrJRf8weJ5Ka4","password":"another battery"}`,
		"POST /password/change":     `{"current_password":"wrong battery","new_password":"another battery"}`,
		"POST /email/change":        `{"password":"wrong battery","email":"new@example.com"}`,
		"PATCH /me":                 `{"name":"Ada L."}`,
		"DELETE /me":                `{"password":"wrong battery"}`,
		"POST /verify":              `token=AAAAAAAAAAAAAAAAAAAAAA.PYtrhU8ZGB7B8IyosCESe5854vYhuIhrJRf8weJ5Ka4`,
		"POST /reset":               `token=AAAAAAAAAAAAAAAAAAAAAA.PYtrhU8ZGB7B8IyosCESe5854vYhuIhrJRf8weJ5Ka4&password=another+battery`,
		"POST /accept":              `token=AAAAAAAAAAAAAAAAAAAAAA.PYtrhU8ZGB7B8IyosCESe5854vYhuIhrJRf8weJ5Ka4&password=another+battery`,
	}
	var all []string
	for _, route := range web.Routes {
		method, path, _ := strings.Cut(route, " ")
		path = strings.ReplaceAll(path, "{id}", "g3oqmjmdqdwuj25bvvyzxsffsr")
		media := "application/json"
		if strings.HasPrefix(bodies[route], "token=") {
			media = "application/x-www-form-urlencoded"
		}
		all = append(all, fmt.Sprintf("%s %s?token=abc HTTP/1.1\r\nHost: auth.example.com\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			method, path, bearer, media, len(bodies[route]), bodies[route]))
	}
	return all
}

// TestTrialMutations sends broken forms of every request to the running program:
// no answer is a fault of the server, none is late, and nothing is left of them.
func TestTrialMutations(t *testing.T) {
	mails := startSink(t)
	env := append([]string{"LATCHKEY_MAIL_URL=" + mails.url}, cheapHash...)
	dir := initialized(t, env)
	p := startService(t, dir, env, "--mail-from", "mail@example.com")
	service, err := contract.Service()
	if err != nil {
		t.Fatal(err)
	}
	c := newCaller(t)
	bearer := c.must(t, http.StatusOK, p.url, "", "POST /login", "username", "ada", "password", trialPassword).text("token")
	good := goodRequests(bearer)
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	files := p.descriptors(t)
	answers := make(map[int]int)
	var slowest time.Duration
	var mu sync.Mutex // guards answers and slowest
	bound := startTimeout
	if fullTrial() { // where the machine has nothing else to do
		bound = time.Second
	}
	n := inForm(1_500, 10_000)
	texts := make(chan []byte)
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for text := range texts {
				began := time.Now()
				got, err := sendRaw(p.url, text)
				took, status := time.Since(began), got.status
				mu.Lock()
				answers[status]++
				slowest = max(slowest, took)
				mu.Unlock()
				if err != nil || status >= 500 && status != http.StatusServiceUnavailable || took > bound {
					t.Errorf("seed %d: %d, %v after %v: %q", seed, status, err, took, text)
				}
				if x, ok := readExchange(text, got); ok {
					if err := service.Check(x); err != nil {
						t.Errorf("seed %d: %.100q…: %v", seed, text, err)
					}
				}
			}
		})
	}
	for range n {
		texts <- mutate(random, good[random.IntN(len(good))])
	}
	close(texts)
	senders.Wait()
	c.must(t, http.StatusOK, p.url, "", "GET /readyz")
	if more := p.descriptors(t) - files; more > 12 { // connections to the database
		t.Errorf("%d descriptors are left open", more)
	}
	t.Logf("%d mutated requests: %v (0: no answer to what is no HTTP); the slowest took %v", n, answers, slowest.Round(time.Millisecond))
}

// mutate deletes, repeats, inserts and cuts off, up to four times.
func mutate(random *rand.Rand, request string) []byte {
	const spare = "{}[]\":,\\u00e9\x00\xff 0-1.e+tn%&=/?#\r\n;ı"
	text := []byte(request)
	for range random.IntN(5) {
		at, to := random.IntN(len(text)+1), random.IntN(len(text)+1)
		at, to = min(at, to), max(at, to)
		switch random.IntN(5) {
		case 0:
			text = slices.Delete(text, at, min(to, at+random.IntN(40)))
		case 1:
			text = slices.Insert(text, at, text[at:min(to, at+random.IntN(200))]...)
		case 2, 3:
			text = slices.Insert(text, at, spare[random.IntN(len(spare))])
		case 4:
			text = text[:to]
		}
	}
	return text
}

// readExchange reads the request as a server does; false when it is none that the
// service gets to see.
func readExchange(text []byte, got reply) (contract.Exchange, bool) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	itself := fmt.Sprintf("%d %s", got.status, http.StatusText(got.status)) // net/http, of what is no HTTP
	if err != nil || got.status == 0 || bytes.HasPrefix(got.body, []byte(itself)) {
		return contract.Exchange{}, false
	}
	sent, err := io.ReadAll(r.Body)
	return contract.Exchange{Request: r, Sent: sent, Status: got.status, Header: got.header, Body: string(got.body)}, err == nil
}

// sendRaw sends what may be no HTTP at all; the status is 0 when the server hangs
// up.
func sendRaw(url string, text []byte) (reply, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		return reply{}, err
	}
	if _, err := conn.Write(text); err != nil {
		return reply{}, nil // hung up already
	}
	// A handler that waits for the rest of a body need not wait for long. Not at once: a
	// client that closes its half counts as gone.
	hurry := time.AfterFunc(300*time.Millisecond, func() { conn.(*net.TCPConn).CloseWrite() })
	defer hurry.Stop()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}, nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, body}, err
}

// TestTrialTiming asks for known and unknown names, and such as are registered but
// not confirmed, by turns, at the default hash cost: how long the answer takes does
// not tell which it was.
func TestTrialTiming(t *testing.T) {
	if !fullTrial() {
		t.Skip("depends on the speed of the machine; asked in the full form. That the same work is done is asked in internal/auth")
	}
	mails := startSink(t)
	env := []string{"LATCHKEY_MAIL_URL=" + mails.url}
	dir := initialized(t, env)
	p := startService(t, dir, env, "--mail-from", "mail@example.com")
	c := newCaller(t)
	// The owner of ada@example.com registers as everybody does.
	c.must(t, http.StatusAccepted, p.url, "", "POST /register", "email", "ada@example.com", "password", trialPassword)
	c.must(t, http.StatusNoContent, p.url, "", "POST /email/verify", "token", mails.token(t, "ada@example.com"))
	c.must(t, http.StatusAccepted, p.url, "", "POST /register", "email", "pending@example.com", "password", trialPassword)
	for _, route := range []string{"POST /login", "POST /register", "POST /password/forgot"} {
		var known, unknown, pending []time.Duration
		ask := func(email string, samples *[]time.Duration) {
			began := time.Now()
			var err error
			switch route {
			case "POST /login":
				_, err = c.call(p.url, "", route, "username", email, "password", "wrong battery")
			case "POST /register":
				_, err = c.call(p.url, "", route, "email", email, "password", trialPassword)
			default:
				_, err = c.call(p.url, "", route, "email", email)
			}
			if err != nil {
				t.Fatal(err)
			}
			*samples = append(*samples, time.Since(began))
		}
		for i := range 200 {
			ask("ada@example.com", &known)
			ask(fmt.Sprintf("nobody%d@example.com", i), &unknown)
			ask("pending@example.com", &pending)
		}
		var medians []time.Duration
		for _, samples := range [][]time.Duration{known, unknown, pending} {
			slices.Sort(samples)
			medians = append(medians, samples[len(samples)/2].Round(10*time.Microsecond))
		}
		t.Logf("%s: medians %v for a known name, unknown ones, and one to be confirmed", route, medians)
		fastest, slowest := slices.Min(medians), slices.Max(medians)
		if difference := slowest - fastest; difference >= max(5*time.Millisecond, fastest/4) {
			t.Errorf("%s: the medians differ by %v", route, difference)
		}
	}
}
