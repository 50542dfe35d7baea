package awslambda_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
)

// managed is the Runtime API of an instance that hands out several invocations at
// once: as many as there are events, after which it leaves requests for more open.
type managed struct {
	*httptest.Server
	events chan string
	idle   chan struct{} // one for each request that finds no event

	mu          sync.Mutex
	posts       []string
	connections int
}

func newManaged(t *testing.T, events ...string) *managed {
	t.Helper()
	m := &managed{events: make(chan string, len(events)), idle: make(chan struct{}, 64)}
	for _, e := range events {
		m.events <- e
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case e := <-m.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "id-"+e)
			io.WriteString(w, e)
			return
		default:
		}
		m.idle <- struct{}{}
		<-r.Context().Done()
	})
	mux.HandleFunc("POST /2018-06-01/runtime/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		m.mu.Lock()
		m.posts = append(m.posts, strings.TrimPrefix(r.URL.Path, "/2018-06-01/runtime/invocation/")+" "+string(body))
		m.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	})
	m.Server = httptest.NewUnstartedServer(mux)
	m.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.connections++
		return ctx
	}
	m.Start()
	t.Cleanup(m.Close)
	return m
}

func (m *managed) sortedPosts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(slices.Values(m.posts))
}

// Each loop has an invocation and a connection of its own: none of the functions
// returns before all have been called.
func TestRunAnswersSeveralInvocationsAtOnce(t *testing.T) {
	const loops = 5
	var events, want []string
	for i := range loops {
		events = append(events, fmt.Sprint(i))
		want = append(want, fmt.Sprintf("id-%d/response got %d", i, i))
	}
	m := newManaged(t, events...)
	ctx, cancel := context.WithCancel(t.Context())
	var called sync.WaitGroup
	called.Add(loops)
	done := make(chan error, 1)
	go func() {
		done <- awslambda.Run(ctx, strings.TrimPrefix(m.URL, "http://"), loops, func(_ context.Context, event []byte) ([]byte, error) {
			called.Done()
			called.Wait()
			return append([]byte("got "), event...), nil
		})
	}()
	for range loops { // all have answered and ask again
		<-m.idle
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if got := m.sortedPosts(); !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
	if m.connections != loops {
		t.Errorf("%d connections, want one for each loop", m.connections)
	}
}

// A panic ends all loops: one that waits at once, one that has an invocation when
// it is answered.
func TestRunEndsAllLoopsWithOne(t *testing.T) {
	m := newManaged(t, "crash", "busy")
	crashed, busy := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- awslambda.Run(t.Context(), strings.TrimPrefix(m.URL, "http://"), 3, func(ctx context.Context, event []byte) ([]byte, error) {
			if string(event) == "crash" {
				<-busy
				defer close(crashed)
				panic("out of cheese")
			}
			close(busy)
			<-crashed
			return []byte("answered"), ctx.Err()
		})
	}()
	if err := <-done; err == nil || !strings.HasPrefix(err.Error(), "panic: out of cheese\n") {
		t.Errorf("Run returned %v, want the panic", err)
	}
	want := []string{"id-busy/response answered", `id-crash/error {"errorMessage":"panic: out of cheese","errorType":"panicError"}`}
	if got := m.sortedPosts(); !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

func TestConcurrency(t *testing.T) {
	for text, want := range map[string]int{"": 1, "1": 1, "64": 64, "4096": 4096, "0": 0, "-1": 0, "4097": 0, "many": 0, "1.5": 0, "99999999999999999999": 0} {
		got, err := awslambda.Concurrency(func(name string) string {
			if name != "AWS_LAMBDA_MAX_CONCURRENCY" {
				t.Errorf("asked for %s", name)
			}
			return text
		})
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "AWS_LAMBDA_MAX_CONCURRENCY") {
			t.Errorf("%q: error %v does not name the variable", text, err)
		}
	}
}
