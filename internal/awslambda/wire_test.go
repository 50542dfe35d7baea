package awslambda_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
)

func TestReadResponse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := map[string]struct {
		raw  string
		body string
		left int
	}{
		"a length":                 {ok + "Content-Length: 2\r\n\r\nhi", "hi", 0},
		"the next answer stays":    {ok + "Content-Length: 2\r\n\r\nhiHTTP", "hi", 4},
		"no body":                  {ok + "Content-Length: 0\r\n\r\n", "", 0},
		"chunks":                   {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nA\r\n, everyone\r\n0\r\n\r\n", "hi, everyone", 0},
		"chunks with extension":    {ok + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n", "hi", 0},
		"chunks with trailer":      {ok + "Transfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\nLambda-Runtime-Function-Error-Type: x\r\n\r\nHTTP", "hi", 4},
		"names in lower case":      {ok + "content-length: 2\r\n\r\nhi", "hi", 0},
		"line ends without CR":     {"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "hi", 0},
		"blanks around a value":    {ok + "Content-Length: \t2 \r\n\r\nhi", "hi", 0},
		"no reason":                {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", 0},
		"chunks win over a length": {ok + "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", 0},
		"line ends in a chunk":     {ok + "Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, body, left, err := awslambda.ReadResponse([]byte(test.raw))
			if err != nil || status != 200 || string(body) != test.body || left != test.left {
				t.Errorf("%d %q, %d left, error %v; want 200 %q, %d left", status, body, left, err, test.body, test.left)
			}
		})
	}
}

// brokenAnswers are no HTTP, or end too soon.
var brokenAnswers = map[string]string{
	"nothing":                  "",
	"no HTTP":                  "SSH-2.0-OpenSSH_9.6\r\n\r\n",
	"another version":          "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
	"no status":                "HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	"a word for a status":      "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
	"half a header":            "HTTP/1.1 200 OK\r\nContent-Le",
	"a header without a colon": "HTTP/1.1 200 OK\r\nhello\r\n\r\n",
	"a header without a name":  "HTTP/1.1 200 OK\r\n: 2\r\nContent-Length: 0\r\n\r\n",
	"a header in two lines":    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n : 1\r\n\r\n",
	"a space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
	"headers beyond measure":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 300) + "Content-Length: 0\r\n\r\n",
	"no length":                "HTTP/1.1 200 OK\r\n\r\nhi",
	"a negative length":        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	"a word for a length":      "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi",
	"a length beyond measure":  "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
	"half a body":              "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi",
	"half a chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
	"no last chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	"a chunk without end":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
	"a word for a chunk size":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nhi\r\n0\r\n\r\n",
	"a negative chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
	"a chunk beyond measure":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
}

func TestBrokenAnswersEndRun(t *testing.T) {
	for name, raw := range brokenAnswers {
		t.Run(name, func(t *testing.T) {
			if _, _, _, err := awslambda.ReadResponse([]byte(raw)); err == nil {
				t.Error("taken")
			}
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

// What is read does not depend on what follows it, and is never longer than
// what was there.
func FuzzReadResponse(f *testing.F) {
	for _, raw := range brokenAnswers {
		f.Add([]byte(raw))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nA: b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		status, body, left, err := awslambda.ReadResponse(raw)
		if err != nil {
			return
		}
		if len(body)+left > len(raw) {
			t.Errorf("%d bytes hold a body of %d and leave %d", len(raw), len(body), left)
		}
		again := fmt.Sprintf("HTTP/1.1 %d\r\nContent-Length: %d\r\n\r\n%sNEXT", status, len(body), body)
		status2, body2, left2, err := awslambda.ReadResponse([]byte(again))
		if err != nil || status2 != status || string(body2) != string(body) || left2 != 4 {
			t.Errorf("%q became %d %q with %d left (%v)", raw, status2, body2, left2, err)
		}
	})
}
