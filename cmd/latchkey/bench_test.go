package main

import (
	"bufio"
	"bytes"

	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The benchmarks here run the built programs as processes of their own and
// read from the kernel what those cost; the load is not in the figures.

// BenchmarkReady is the time from exec to listening, on an existing database.
func BenchmarkReady(b *testing.B) {
	for _, command := range []string{"serve", "offline"} {
		b.Run(command, func(b *testing.B) {
			dir := initialized(b, nil)
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
		p := startProgram(b, dir, nil, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "warn")
		idle := p.status(b, "VmRSS")
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
		b.ReportMetric(p.status(b, "VmHWM"), "logins-MB")
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
// eight clients at a time.
func BenchmarkRequest(b *testing.B) {
	env := []string{"LATCHKEY_ARGON2=m=8,t=1,p=1"}
	dir := initialized(b, env)
	p := startProgram(b, dir, env, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "error")
	defer p.stop()
	token := member(b, post(b, p.url+"/login", benchLogin), "token")
	for _, c := range []struct {
		name string
		next func(before []byte) string // the request after an answer
	}{
		{"me", always("GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n")},
		{"refresh", func(before []byte) string {
			if before == nil {
				before = post(b, p.url+"/login", benchLogin)
			}
			return request("/token/refresh", `{"refresh_token":"`+member(b, before, "refresh_token")+`"}`)
		}},
		{"login-cheapest-hash", always(request("/login", benchLogin))},
		{"livez", always("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := p.cpu(b)
			b.SetParallelism(max(1, connections/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				in := bufio.NewReader(conn)
				var answer []byte
				for pb.Next() {
					if answer, err = exchange(conn, in, c.next(answer)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((p.cpu(b)-before).Nanoseconds())/float64(b.N)/1000, "server-cpu-µs/op")
		})
	}
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
		p := startProgram(b, dir, env, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "error",
			"--limits", "off", "--registration", "open", "--no-verify-email")
		var wg sync.WaitGroup
		for range connections { // until all connections to the database are open
			wg.Go(func() { mustPost(b, http.DefaultClient, http.StatusOK, p.url+"/login", benchLogin, "") })
		}
		wg.Wait()
		http.DefaultClient.CloseIdleConnections()
		files := p.descriptors(b)
		var number atomic.Int64
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
		b.ReportMetric(p.status(b, "VmRSS"), "rss-MB")
		b.ReportMetric(p.status(b, "VmHWM"), "peak-MB")
		b.ReportMetric(float64(p.descriptors(b)-files), "more-descriptors")
		b.ReportMetric(0, "ns/op")
		p.stop()
	}
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
// default hash cost, beside the same in quiet.
func BenchmarkSaturated(b *testing.B) {
	dir := initialized(b, nil)
	for b.Loop() {
		p := startProgram(b, dir, nil, "serve", "--addr", "127.0.0.1:0", "--data", "data", "--log-level", "error")
		bearer := member(b, post(b, p.url+"/login", benchLogin), "token")
		quiet := p.slowest(b, bearer)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range connections {
			wg.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for {
					select {
					case <-stop:
						return
					default:
						mustPost(b, client, http.StatusOK, p.url+"/login", benchLogin, "")
					}
				}
			})
		}
		saturated := p.slowest(b, bearer)
		close(stop)
		wg.Wait()
		b.ReportMetric(float64(quiet.Microseconds()), "quiet-p99-µs")
		b.ReportMetric(float64(saturated.Microseconds()), "saturated-p99-µs")
		b.ReportMetric(float64(saturated)/float64(quiet), "times")
		b.ReportMetric(p.status(b, "VmHWM"), "peak-MB")
		b.ReportMetric(0, "ns/op")
		p.stop()
	}
}

// slowest is the 99th percentile of GET /me, by one client for ten seconds. It
// asks every five milliseconds, so that it is no load itself.
func (p *program) slowest(b *testing.B, bearer string) time.Duration {
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
		if _, err := exchange(conn, in, "GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+bearer+"\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}

// connections is how many clients ask at the same time.
const connections = 8

// exchange sends a request and returns the body of its answer.
func exchange(conn net.Conn, in *bufio.Reader, request string) ([]byte, error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
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
		b.ReportMetric(p.status(b, "VmRSS"), "rss-MB")
	})
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
