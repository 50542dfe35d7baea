package minidyn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A lambda is a bootstrap under a Runtime API.
type lambda struct {
	name    string
	timeout time.Duration
	process *exec.Cmd
	start   func() error // at the first event
	events  chan []byte
	answers chan posted
	turn    sync.Mutex // an execution environment has one event at a time
	log     *bytes.Buffer
	ended   chan struct{} // closed when the process has ended, and log may be read
	stop    func()
}

type posted struct{ path, body string }

// newLambda is the bootstrap in a directory, which is where Lambda unpacks the zip.
func newLambda(t testing.TB, dir, name string, timeout time.Duration, env ...string) *lambda {
	t.Helper()
	f := &lambda{name: name, timeout: timeout, events: make(chan []byte), answers: make(chan posted, 1), log: new(bytes.Buffer), ended: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case event := <-f.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(timeout).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:"+name)
			w.Write(event)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		f.answers <- posted{r.URL.Path, string(body)}
	})
	api := httptest.NewServer(mux)
	cmd := exec.Command("./bootstrap")
	f.process = cmd
	cmd.Dir, cmd.Stderr = dir, f.log
	cmd.Env = append(env, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"), "AWS_LAMBDA_FUNCTION_NAME="+name, "LAMBDA_TASK_ROOT="+dir)
	f.start = sync.OnceValue(func() error {
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() {
			defer close(f.ended)
			cmd.Wait()
		}()
		return nil
	})
	f.stop = sync.OnceFunc(func() {
		f.turn.Lock() // for good: it starts no more
		if cmd.Process != nil {
			cmd.Process.Kill()
			<-f.ended
		}
		api.CloseClientConnections()
		api.Close()
		if t.Failed() {
			t.Logf("%s says: %s", name, f.log)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// invoke hands out an event and returns the answer, as Lambda does: an error is what the
// function says of itself.
func (f *lambda) invoke(_ context.Context, event []byte) ([]byte, error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	if err := f.start(); err != nil {
		return nil, err
	}
	const patience = time.Minute // a loaded machine is no failure
	var p posted
	select {
	case f.events <- event:
	case p = <-f.answers:
		return nil, fmt.Errorf("%s did not start: %s %s", f.name, p.path, p.body)
	case <-f.ended:
		return nil, fmt.Errorf("%s has ended", f.name)
	case <-time.After(patience):
		return nil, fmt.Errorf("%s did not ask for an event", f.name)
	}
	select {
	case p = <-f.answers:
	case <-time.After(patience):
		return nil, fmt.Errorf("%s did not answer", f.name)
	}
	if strings.HasSuffix(p.path, "/response") {
		return []byte(p.body), nil
	}
	var said struct{ ErrorMessage string }
	if err := json.Unmarshal([]byte(p.body), &said); err != nil {
		return nil, fmt.Errorf("%s posted %s: %s", f.name, p.path, p.body)
	}
	return nil, errors.New(said.ErrorMessage)
}

// idle waits until the function has done what it does after its answer.
func (f *lambda) idle(t *testing.T) {
	t.Helper()
	// It asks for another event then, and this one is none that it knows.
	if _, err := f.invoke(t.Context(), []byte(`{"Records":[{"eventSource":"aws:sqs"}]}`)); err == nil {
		t.Errorf("%s takes an event of a queue", f.name)
	}
}
