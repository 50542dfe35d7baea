package awslambda

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/http1"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// EnvRuntimeAPI is set on Lambda, to host and port of the Runtime API.
const EnvRuntimeAPI = "AWS_LAMBDA_RUNTIME_API"

const apiVersion = "/2018-06-01/runtime/"

// EnvConcurrency is set on Lambda Managed Instances, to how many invocations one
// process is handed at once. Elsewhere it is one.
const EnvConcurrency = "AWS_LAMBDA_MAX_CONCURRENCY"

// maxConcurrency is beyond what an instance has: 64 for each of its virtual CPUs.
const maxConcurrency = 4096

// Concurrency reads EnvConcurrency.
func Concurrency(getenv func(string) string) (int, error) {
	text := getenv(EnvConcurrency)
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxConcurrency {
		return 0, fmt.Errorf("%s is %q: it must be 1 to %d", EnvConcurrency, text, maxConcurrency)
	}
	return n, nil
}

// Run answers invocations as Lambda hands them out ("Using the Lambda runtime API
// for custom runtimes"), in loops of which each has a connection of its own. It
// returns only when the Runtime API cannot be used or the function has panicked:
// Lambda then starts a new process. The first loop that has to end ends all: those
// that wait for an invocation at once, those that have one when it is answered.
//
// The client speaks just as much HTTP as that API needs. net/http would double
// the size of the bootstrap, and its cost per invocation.
func Run(ctx context.Context, address string, loops int, f gateway.Function) error {
	asking, end := context.WithCancelCause(ctx)
	defer end(nil)
	var wg sync.WaitGroup
	for range loops {
		wg.Go(func() {
			c := client{address: address, ownThread: loops == 1}
			defer c.close()
			for asking.Err() == nil {
				if err := c.serveOne(ctx, asking, f); err != nil {
					end(err) // the first counts
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(asking)
}

// ReportInitError tells Lambda, and so the function's log, why the process
// cannot start.
func ReportInitError(address string, cause error) error {
	c := client{address: address}
	defer c.close()
	_, err := c.post("init/error", ErrorDocument(cause), errorType(cause))
	return err
}

// next asks for an invocation until asking ends.
func (c *client) next(asking context.Context) (http1.Answer, error) {
	if err := c.connect(); err != nil {
		return http1.Answer{}, err
	}
	conn := c.conn
	defer context.AfterFunc(asking, conn.interrupt)()
	return c.do("GET", "invocation/next", nil, "")
}

func (c *client) serveOne(ctx, asking context.Context, f gateway.Function) error {
	next, err := c.next(asking)
	if err != nil {
		return fmt.Errorf("asking for the next invocation: %w", err)
	}
	if next.Status != 200 {
		return fmt.Errorf("asking for the next invocation: status %d", next.Status)
	}
	id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
	if id == "" || strings.ContainsAny(id, "/\r\n ") {
		return errors.New("the next invocation has no usable request id")
	}
	later := new(afterwards)
	deadline := deadlineOf(next)
	answer, callErr := invoke(context.WithValue(ctx, afterKey{}, later), deadline, f, next)
	status := 0
	if callErr == nil {
		if status, err = c.post("invocation/"+id+"/response", answer, ""); err != nil {
			return fmt.Errorf("posting the response: %w", err)
		}
		if status == 413 {
			callErr = errors.New("the response is larger than Lambda allows")
		}
	}
	if callErr != nil {
		if status, err = c.post("invocation/"+id+"/error", ErrorDocument(callErr), errorType(callErr)); err != nil {
			return fmt.Errorf("posting the error: %w", err)
		}
	}
	var crash *panicError
	switch {
	case errors.As(callErr, &crash):
		return fmt.Errorf("%w\n%s", crash, crash.stack)
	case status != 202:
		return fmt.Errorf("the Runtime API answered status %d", status)
	}
	if err := later.do(ctx, deadline); err != nil {
		var crash *panicError
		errors.As(err, &crash)
		return fmt.Errorf("after the answer: %w\n%s", crash, crash.stack)
	}
	return nil
}

// deadlineOf is when the time of an invocation is over; zero when Lambda does not say.
func deadlineOf(next http1.Answer) time.Time {
	ms, err := strconv.ParseInt(next.Header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// invoke calls the function with the deadline that Lambda sets it.
func invoke(ctx context.Context, deadline time.Time, f gateway.Function, next http1.Answer) (answer []byte, err error) {
	ctx = gateway.WithInvocation(ctx, gateway.Invocation{
		RequestID:   next.Header.Get("Lambda-Runtime-Aws-Request-Id"),
		FunctionARN: next.Header.Get("Lambda-Runtime-Invoked-Function-Arn"),
	})
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	defer recovered(&err)
	return f(ctx, next.Body)
}

// recovered is deferred: it makes a panic an error.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{v, debug.Stack()}
	}
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// ErrorDocument is how Lambda takes a function's error and shows it to callers.
func ErrorDocument(err error) []byte {
	doc := strictjson.AppendString([]byte(`{"errorMessage":`), err.Error())
	doc = strictjson.AppendString(append(doc, `,"errorType":`...), errorType(err))
	return append(doc, '}')
}

func errorType(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// client is one connection to the Runtime API, which serves one request at a
// time.
type client struct {
	address   string
	ownThread bool // see dial
	conn      connection
	in        *bufio.Reader
	out       []byte
}

type connection interface {
	io.ReadWriteCloser
	interrupt() // ends a Read in another goroutine, for good
}

// limits are beyond what Lambda sends: events of 6 MB, and more for streams.
var limits = http1.Limits{Header: 256 << 10, Body: 64 << 20}

func (c *client) connect() error {
	if c.conn != nil {
		return nil
	}
	conn, err := dial(c.address, c.ownThread)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 16<<10)
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) post(path string, body []byte, errorType string) (int, error) {
	r, err := c.do("POST", path, body, errorType)
	return r.Status, err
}

// do sends one request and reads its answer. There is no time limit: the next
// invocation may be hours away, and Lambda freezes the process meanwhile.
func (c *client) do(method, path string, body []byte, errorType string) (http1.Answer, error) {
	if err := c.connect(); err != nil {
		return http1.Answer{}, err
	}
	b := append(c.out[:0], method...)
	b = append(append(append(b, ' '), apiVersion...), path...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), c.address...)
	b = append(b, "\r\nUser-Agent: latchkey\r\n"...)
	if method == "POST" {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n"...)
	}
	if errorType != "" {
		b = append(append(append(b, "Lambda-Runtime-Function-Error-Type: "...), errorType...), "\r\n"...)
	}
	b = append(append(b, "\r\n"...), body...)
	c.out = b
	if _, err := c.conn.Write(b); err != nil {
		return http1.Answer{}, err
	}
	answer, err := http1.Read(c.in, limits)
	if err != nil {
		return answer, fmt.Errorf("reading the answer of the Runtime API: %w", err)
	}
	if answer.Last {
		c.close()
	}
	return answer, nil
}

// Main runs the function that build returns and ends the process. A build that
// fails is reported to Lambda and to the log.
func Main(build func() (gateway.Function, error)) {
	address := os.Getenv(EnvRuntimeAPI)
	loops, err := Concurrency(os.Getenv)
	var f gateway.Function
	if err == nil {
		f, err = build()
	}
	if err == nil {
		err = Run(context.Background(), address, loops, f)
	} else if reportErr := ReportInitError(address, err); reportErr != nil {
		err = errors.Join(err, reportErr)
	}
	fmt.Fprintln(os.Stderr, string(ErrorDocument(err)))
	os.Exit(1)
}
