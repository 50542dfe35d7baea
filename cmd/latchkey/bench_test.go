package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// The benchmarks here run the built programs as processes of their own and
// read from the kernel what those cost; the load is not in the figures.

// BenchmarkReady is the time from exec to listening, on an existing database.
func BenchmarkReady(b *testing.B) {
	for _, command := range []string{"serve", "offline"} {
		b.Run(command, func(b *testing.B) {
			dir := b.TempDir()
			if command == "serve" {
				dir = initialized(b, nil)
			}
			args := []string{command, "--addr", "127.0.0.1:0", "--data", "data"}
			startProgram(b, dir, nil, args...).stop() // offline creates its user
			var sum time.Duration
			n := 0
			for b.Loop() {
				p := startProgram(b, dir, nil, args...)
				p.stop()
				sum += p.ready
				n++
			}
			b.ReportMetric(float64(sum.Microseconds())/float64(n)/1000, "ready-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkMemory is what serve holds when idle, and at most while 200 clients
// log in at the same time, at the default hash cost.
func BenchmarkMemory(b *testing.B) {
	dir := initialized(b, nil)
	for b.Loop() {
		p := startProgram(b, dir, nil, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "warn", "--limits", "off")
		idle := p.memory(b, "VmRSS")
		var wg sync.WaitGroup
		var mu sync.Mutex
		answers := make(map[int]int)
		for range 200 {
			wg.Go(func() {
				res, err := http.Post(p.url+"/login", "application/json", strings.NewReader(`{"username":"ada","password":"correct horse battery"}`))
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				mu.Lock()
				answers[res.StatusCode]++
				mu.Unlock()
			})
		}
		wg.Wait()
		b.ReportMetric(idle, "idle-MB")
		b.ReportMetric(p.memory(b, "VmHWM"), "logins-MB")
		b.ReportMetric(float64(answers[200]), "logins-ok")
		b.ReportMetric(float64(answers[503]), "logins-503")
		b.ReportMetric(0, "ns/op")
		if answers[200]+answers[503] != 200 {
			b.Errorf("answers: %v", answers)
		}
		p.stop()
	}
}

// BenchmarkRequest is the server's processor time per request over HTTP, with
// eight clients at a time, beside that of a server which only speaks HTTP (bare)
// or only signs an answer by ES256 (bare-sign). The two take turns, in one run;
// the figures are medians of the rounds, and the best of them.
func BenchmarkRequest(b *testing.B) {
	benchmarkRequest(b, func(*testing.B) []string { return nil })
}

// BenchmarkPostgres is the same on PostgreSQL, whose own processor time is not in it.
func BenchmarkPostgres(b *testing.B) {
	benchmarkRequest(b, func(b *testing.B) []string { return []string{"LATCHKEY_STORE=" + pgtest.Database(b)} })
}

// benchmarkRequest has each kind of request on a store of its own, which variables name.
func benchmarkRequest(b *testing.B, store func(*testing.B) []string) {
	for name, run := range map[string]func(b *testing.B, p, bare *program){
		"me": func(b *testing.B, p, bare *program) {
			token := member(b, post(b, p.url+"/login", benchLogin), "token")
			takeTurns(b,
				&requests{name: "bare", server: bare, next: always("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")},
				&requests{name: "me", server: p, next: always("GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n")})
		},
		"refresh": func(b *testing.B, p, bare *program) {
			takeTurns(b,
				&requests{name: "bare-sign", server: bare, next: always(request("/sign", `{"refresh_token":"`+strings.Repeat("x", 70)+`"}`))},
				&requests{name: "refresh", server: p, next: func(before []byte) string {
					if before == nil {
						before = post(b, p.url+"/login", benchLogin)
					}
					_, rest, _ := strings.Cut(string(before), `"refresh_token":"`)
					next, _, _ := strings.Cut(rest, `"`)
					return request("/token/refresh", `{"refresh_token":"`+next+`"}`)
				}})
		},
		"login": func(b *testing.B, p, bare *program) {
			takeTurns(b, &requests{name: "login-cheapest-hash", server: p, next: always(request("/login", benchLogin))})
		},
	} {
		b.Run(name, func(b *testing.B) {
			env := append(store(b), "LATCHKEY_ARGON2=m=8,t=1,p=1")
			p := startProgram(b, initialized(b, env), env, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "error", "--limits", "off")
			run(b, p, startBareServer(b))
		})
	}
}

func takeTurns(b *testing.B, loads ...*requests) {
	const rounds = 20
	for _, l := range loads {
		l.connect(b)
		l.server.settled(b) // what the first logins have started would end in a round
	}
	for b.Loop() {
		for range rounds {
			for _, l := range loads {
				l.round(b)
			}
		}
	}
	for _, l := range loads {
		slices.Sort(l.cost)
		b.ReportMetric(l.cost[len(l.cost)/2], l.name+"-µs")
		b.ReportMetric(l.cost[0], l.name+"-best-µs")
	}
	b.ReportMetric(0, "ns/op")
}

// settled is how many descriptors are open once no process is kept for hashes and
// that does not change: connections that clients have closed end in their own time.
func (p *program) settled(b *testing.B) int {
	for len(p.children(b)) > 0 {
		time.Sleep(200 * time.Millisecond)
	}
	for last := -1; ; time.Sleep(200 * time.Millisecond) {
		now := p.descriptors(b)
		if now == last {
			return now
		}
		last = now
	}
}

// requests are those of one kind, from eight clients at a time.
type requests struct {
	name    string
	server  *program
	next    func(before []byte) string // the request after an answer
	clients []*asker
	cost    []float64 // µs of the server's processor time per request, by round
}

type asker struct {
	conn   net.Conn
	in     *bufio.Reader
	answer []byte
}

// connect has every client make its first request.
func (r *requests) connect(b *testing.B) {
	for len(r.clients) < connections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.server.url, "http://"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		c := &asker{conn: conn, in: bufio.NewReader(conn)}
		if c.answer, err = exchange(conn, c.in, r.next(nil)); err != nil {
			b.Fatal(err)
		}
		r.clients = append(r.clients, c)
	}
}

// round sends requests for half a second.
func (r *requests) round(b *testing.B) {
	before := r.server.cpu(b)
	end := time.Now().Add(500 * time.Millisecond)
	var answered atomic.Int64
	var wg sync.WaitGroup
	for _, c := range r.clients {
		wg.Go(func() {
			var err error
			for time.Now().Before(end) {
				if c.answer, err = exchange(c.conn, c.in, r.next(c.answer)); err != nil {
					b.Errorf("%s: %v", r.name, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	r.cost = append(r.cost, float64((r.server.cpu(b)-before).Microseconds())/float64(answered.Load()))
}

// startBareServer starts the baseline: net/http, encoding/json and crypto/ecdsa
// as they come.
func startBareServer(b *testing.B) *program {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	p := &program{Cmd: &exec.Cmd{Path: self, Args: []string{bareServerName}}}
	p.launch(b)
	b.Cleanup(p.stop)
	return p
}

// bareServerName is the command as which the test binary is bareServer.
const bareServerName = "bare-server"

func bareServer() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	http.HandleFunc("POST /sign", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			RefreshToken string `json:"refresh_token"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		digest := sha256.Sum256([]byte(in.RefreshToken))
		sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"token": sig, "refresh_token": in.RefreshToken, "expires_in": 600})
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	log.Fatal(http.Serve(l, nil))
}

const benchLogin = `{"username":"ada","password":"correct horse battery"}`

func always(request string) func([]byte) string { return func([]byte) string { return request } }

// request is a POST as it goes over the wire.
func request(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// BenchmarkMixed sends 100,000 requests of all kinds, and tells what is left of
// them in the process.
func BenchmarkMixed(b *testing.B) {
	const requests = 100_000
	env := []string{"LATCHKEY_ARGON2=m=8,t=1,p=1"}
	for b.Loop() {
		dir := initialized(b, env)
		start := func() *program {
			return startProgram(b, dir, env, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "error",
				"--limits", "off", "--registration", "open", "--no-verify-email")
		}
		goroutines := start().goroutines(b)
		p := start()
		var number atomic.Int64
		mixed(b, p, &number, requests/10) // until all connections to the database are open
		files := p.settled(b)
		mixed(b, p, &number, requests/10+requests)
		b.ReportMetric(p.memory(b, "VmHWM"), "peak-MB")
		after := p.settled(b)
		b.ReportMetric(p.memory(b, "VmRSS"), "rss-MB")
		b.ReportMetric(float64(after-files), "more-descriptors")
		b.ReportMetric(float64(p.goroutines(b)-goroutines), "more-goroutines")
		b.ReportMetric(0, "ns/op")
	}
}

// mixed sends requests of all kinds until there have been so many.
func mixed(b *testing.B, p *program, number *atomic.Int64, requests int64) {
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for number.Load() < requests {
				email := fmt.Sprintf("user%d@example.com", number.Add(5))
				mustPost(b, client, http.StatusCreated, p.url+"/register", `{"email":"`+email+`","password":"correct horse battery"}`, "")
				tokens := mustPost(b, client, http.StatusOK, p.url+"/login", `{"username":"`+email+`","password":"correct horse battery"}`, "")
				tokens = mustPost(b, client, http.StatusOK, p.url+"/token/refresh", `{"refresh_token":"`+member(b, tokens, "refresh_token")+`"}`, "")
				bearer := member(b, tokens, "token")
				mustPost(b, client, http.StatusUnauthorized, p.url+"/password/change", `{"current_password":"wrong battery","new_password":"another battery"}`, bearer)
				mustPost(b, client, http.StatusNoContent, p.url+"/logout", `{"scope":"all"}`, bearer)
			}
		})
	}
	wg.Wait()
}

func mustPost(b *testing.B, client *http.Client, status int, url, body, bearer string) []byte {
	r, err := http.NewRequestWithContext(b.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := client.Do(r)
	if err != nil {
		b.Error(err)
		return nil
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		b.Errorf("%s: %v %s %s", url, err, res.Status, doc)
	}
	return doc
}

// BenchmarkSaturated is GET /me while clients log in as fast as they can, at the
// default hash cost, beside the same in quiet; and what a bare server makes of
// processes that keep every core busy, which is what the kernel allows. The logins are
// of another user: the oldest of a user's sessions end with new ones.
func BenchmarkSaturated(b *testing.B) {
	dir := initialized(b, nil)
	runLatchkey(b, dir, nil, "correct horse battery\n", "users", "add", "--data", "data", "--username", "bob", "--password-stdin")
	login := strings.Replace(benchLogin, "ada", "bob", 1)
	for b.Loop() {
		bareQuiet, bareBusy := besideLoops(b)
		b.ReportMetric(float64(bareBusy.Microseconds()), "bare-busy-p99-µs")
		b.ReportMetric(float64(bareBusy)/float64(bareQuiet), "bare-times")
		p := startProgram(b, dir, nil, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "error", "--limits", "off")
		bearer := member(b, post(b, p.url+"/login", benchLogin), "token")
		me := "GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + bearer + "\r\n\r\n"
		quiet := p.slowest(b, me)
		stop := make(chan struct{})
		var logins atomic.Int64
		var wg sync.WaitGroup
		began, used := time.Now(), p.cpu(b)
		for range connections {
			wg.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for {
					select {
					case <-stop:
						return
					default:
						mustPost(b, client, http.StatusOK, p.url+"/login", login, "")
						logins.Add(1)
					}
				}
			})
		}
		saturated := p.slowest(b, me)
		close(stop)
		wg.Wait()
		b.ReportMetric(float64(logins.Load())/time.Since(began).Seconds(), "logins/s")
		b.ReportMetric(float64((p.cpu(b)-used).Milliseconds())/float64(logins.Load()), "cpu-ms/login")
		b.ReportMetric(float64(quiet.Microseconds()), "quiet-p99-µs")
		b.ReportMetric(float64(saturated.Microseconds()), "saturated-p99-µs")
		b.ReportMetric(float64(saturated)/float64(quiet), "times")
		b.ReportMetric(p.memory(b, "VmHWM"), "peak-MB")
		b.ReportMetric(0, "ns/op")
		p.stop()
	}
}

// besideLoops is the 99th percentile of a bare server's answers, in quiet and
// beside an endless loop for every core.
func besideLoops(b *testing.B) (quiet, busy time.Duration) {
	const hello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
	bare := startBareServer(b)
	defer bare.stop()
	quiet = bare.slowest(b, hello)
	for range runtime.NumCPU() {
		loop := &program{Cmd: &exec.Cmd{Path: bare.Path, Args: []string{loopName}}}
		if err := loop.Start(); err != nil {
			b.Fatal(err)
		}
		defer loop.stop()
	}
	return quiet, bare.slowest(b, hello)
}

// loopName is the command as which the test binary keeps a core busy.
const loopName = "loop"

func loop() {
	// Not for ever: its parent may have been killed.
	for began := time.Now(); time.Since(began) < time.Minute; {
		sha256.Sum256([]byte("x"))
	}
}

// slowest is the 99th percentile of a request, by one client for ten seconds. It
// asks every five milliseconds, so that it is no load itself.
func (p *program) slowest(b *testing.B, request string) time.Duration {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var all []time.Duration
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		<-pace.C
		began := time.Now()
		if _, err := exchange(conn, in, request); err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}

// connections is how many clients ask at the same time.
const connections = 8

// exchange sends a request and returns the body of its answer. It reads no more
// of HTTP than the server makes of it: the load shares the cores with the server,
// and one that is slow has it sleep and wake for every request.
func exchange(conn net.Conn, in *bufio.Reader, request string) ([]byte, error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	first, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) <= len("\r\n") {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if length < 0 {
		return nil, fmt.Errorf("%sdoes not tell its length", first)
	}
	body := make([]byte, length)
	if _, err = io.ReadFull(in, body); err == nil && !strings.HasPrefix(first, "HTTP/1.1 200 ") {
		err = fmt.Errorf("%s%s", first, body)
	}
	return body, err
}

func post(b *testing.B, url, body string) []byte {
	b.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("%s: %v %s", res.Status, err, doc)
	}
	return doc
}

// BenchmarkAuthorizerProcess starts the lean bootstrap and has it answer once,
// then many times.
func BenchmarkAuthorizerProcess(b *testing.B) {
	bin, err := buildBootstraps()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "routes.json"), []byte(testRoutes), 0o600); err != nil {
		b.Fatal(err)
	}
	event := []byte(authorizerEvent(mintLegacy(testSecret, `"orders:read"`, time.Hour)))
	start := func(b *testing.B) (*program, *bufio.ReadWriter, func()) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(bin, "authorizer"))
		cmd.Dir, cmd.Env = dir, []string{"TOKEN_SECRET=" + testSecret, "LATCHKEY_LOG_LEVEL=warn", "AWS_LAMBDA_RUNTIME_API=" + l.Addr().String()}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		p := &program{Cmd: cmd}
		return p, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), func() { p.stop(); conn.Close(); l.Close() }
	}
	// once plays Lambda's part of one invocation.
	once := func(b *testing.B, rw *bufio.ReadWriter) {
		if _, err := http.ReadRequest(rw.Reader); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nContent-Length: %d\r\n\r\n%s", len(event), event)
		rw.Flush()
		r, err := http.ReadRequest(rw.Reader)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains(answer, []byte(`"Effect":"Allow"`)) {
			b.Fatalf("%v %s", err, answer)
		}
		rw.WriteString("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
		rw.Flush()
	}
	b.Run("exec-to-first-answer", func(b *testing.B) {
		for b.Loop() {
			_, rw, stop := start(b)
			once(b, rw)
			b.StopTimer()
			stop()
			b.StartTimer()
		}
	})
	b.Run("warm", func(b *testing.B) {
		p, rw, stop := start(b)
		defer stop()
		once(b, rw)
		before := p.cpu(b)
		for b.Loop() {
			once(b, rw)
		}
		b.ReportMetric(float64((p.cpu(b)-before).Nanoseconds())/float64(b.N)/1000, "bootstrap-cpu-µs/op")
		b.ReportMetric(status(b, p.Process.Pid, "VmRSS"), "rss-MB")
	})
}

// BenchmarkImport brings 100,000 users with argon2id hashes into an empty database,
// again when all are there, and out.
func BenchmarkImport(b *testing.B) {
	const users = 100_000
	in := b.TempDir()
	write(b, in, "users.jsonl", manyUsers("user", users))
	for b.Loop() {
		dir := b.TempDir()
		runLatchkey(b, dir, nil, "", "init")
		for _, step := range []struct {
			name string
			args []string
			says string
		}{
			{"import", []string{"users", "import", filepath.Join(in, "users.jsonl")}, "imported 100,000 users\n"},
			{"again", []string{"users", "import", filepath.Join(in, "users.jsonl")}, "imported 0 users, 100,000 were there already\n"},
			{"export", []string{"users", "export", "--out", "all.jsonl"}, "exported 100,000 users"},
		} {
			began := time.Now()
			said := runLatchkey(b, dir, nil, "", step.args...)
			b.ReportMetric(time.Since(began).Seconds(), step.name+"-s")
			if !strings.HasPrefix(said, step.says) {
				b.Fatalf("%s: %q, want %q", step.name, said, step.says)
			}
		}
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkSize reports the stripped programs.
func BenchmarkSize(b *testing.B) {
	bin, err := buildBootstraps()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, name := range []string{"latchkey", "authorizer"} {
			info, err := os.Stat(filepath.Join(bin, name))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/1e6, name+"-MB")
		}
		b.ReportMetric(0, "ns/op")
	}
}
