package awslambda_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
)

// brokenAnswers are no HTTP, or end too soon; package http1 has more of them.
var brokenAnswers = map[string]string{
	"nothing":                 "",
	"no HTTP":                 "SSH-2.0-OpenSSH_9.6\r\n\r\n",
	"half a header":           "HTTP/1.1 200 OK\r\nContent-Le",
	"no length":               "HTTP/1.1 200 OK\r\n\r\nhi",
	"a length beyond measure": "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
	"half a body":             "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi",
	"no last chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
}

func TestBrokenAnswersEndRun(t *testing.T) {
	for name, raw := range brokenAnswers {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				buf := make([]byte, 4096)
				if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:") {
					t.Errorf("asked %q (%v)", buf[:n], err)
				}
				io.WriteString(conn, raw)
			}()
			err = awslambda.Run(t.Context(), l.Addr().String(), 1, echo)
			if err == nil || !strings.HasPrefix(err.Error(), "asking for the next invocation: ") {
				t.Errorf("Run returned %v", err)
			}
			l.Close()
			<-done
		})
	}
}

// TestRuntimeAPIAddress: both families; Lambda gives no names.
func TestRuntimeAPIAddress(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skip(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(conn, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
				conn.Close()
			}
		}()
		if err := awslambda.Run(t.Context(), l.Addr().String(), 1, echo); err == nil || !strings.Contains(err.Error(), "status 500") {
			t.Errorf("%s: %v", l.Addr(), err)
		}
		l.Close()
		if err := awslambda.Run(t.Context(), l.Addr().String(), 1, echo); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s, where nothing listens: %v", l.Addr(), err)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	for _, address := range []string{"", "127.0.0.1", "runtime:9001", "127.0.0.1:x", "127.0.0.1:99999"} {
		if err := awslambda.Run(t.Context(), address, 1, echo); err == nil || !strings.Contains(err.Error(), "AWS_LAMBDA_RUNTIME_API is") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
