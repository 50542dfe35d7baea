package http1_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/http1"
)

var limits = http1.Limits{Header: 16 << 10, Body: 64 << 10}

// read reads one answer from the bytes of a connection, and how many of them are left.
func read(raw string, limits http1.Limits) (a http1.Answer, left int, err error) {
	in := strings.NewReader(raw)
	buffered := bufio.NewReaderSize(in, 16)
	a, err = http1.Read(buffered, limits)
	return a, in.Len() + buffered.Buffered(), err
}

const ok = "HTTP/1.1 200 OK\r\n"

func TestRead(t *testing.T) {
	tests := map[string]struct {
		raw, body string
		left      int
		last      bool
	}{
		"a length":                 {ok + "Content-Length: 2\r\n\r\nhi", "hi", 0, false},
		"the next answer stays":    {ok + "Content-Length: 2\r\n\r\nhiHTTP", "hi", 4, false},
		"no body":                  {ok + "Content-Length: 0\r\n\r\n", "", 0, false},
		"chunks":                   {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nA\r\n, everyone\r\n0\r\n\r\n", "hi, everyone", 0, false},
		"chunks with extension":    {ok + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n", "hi", 0, false},
		"chunks with trailer":      {ok + "Transfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\nLambda-Runtime-Function-Error-Type: x\r\n\r\nHTTP", "hi", 4, false},
		"names in lower case":      {ok + "content-length: 2\r\n\r\nhi", "hi", 0, false},
		"line ends without CR":     {"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "hi", 0, false},
		"blanks around a value":    {ok + "Content-Length: \t2 \r\n\r\nhi", "hi", 0, false},
		"no reason":                {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", 0, false},
		"chunks win over a length": {ok + "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", 0, false},
		"line ends in a chunk":     {ok + "Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0, false},
		"hints before it":          {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nhi", "hi", 0, false},
		"the last one":             {ok + "Content-Length: 2\r\nConnection: Close\r\n\r\nhi", "hi", 0, true},
		"an old server":            {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", 0, true},
		"a long line":              {ok + "A: " + strings.Repeat("a", 5000) + "\r\nContent-Length: 2\r\n\r\nhi", "hi", 0, false},
		"as much as may be":        {ok + "Content-Length: 65536\r\n\r\n" + strings.Repeat("a", 64<<10), strings.Repeat("a", 64<<10), 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, left, err := read(test.raw, limits)
			if err != nil || a.Status != 200 || string(a.Body) != test.body || left != test.left || a.Last != test.last {
				t.Errorf("%d, %d bytes, %d left, last %v, error %v", a.Status, len(a.Body), left, a.Last, err)
			}
		})
	}
	for _, code := range []int{204, 304} {
		a, left, err := read(fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nHTTP", code), limits)
		if err != nil || a.Status != code || len(a.Body) != 0 || left != 4 {
			t.Errorf("status %d, which has no body: %+v, %d left, error %v", code, a, left, err)
		}
	}
}

// broken are no HTTP, or end too soon, or are too long.
var broken = map[string]string{
	"nothing":                  "",
	"no HTTP":                  "SSH-2.0-OpenSSH_9.6\r\n\r\n",
	"another version":          "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
	"no status":                "HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	"a word for a status":      "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
	"a signed status":          "HTTP/1.1 +200 OK\r\nContent-Length: 0\r\n\r\n",
	"a status that is none":    "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
	"another protocol":         "HTTP/1.1 101 Switching Protocols\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n",
	"half a header":            ok + "Content-Le",
	"a header without a colon": ok + "hello\r\n\r\n",
	"a header without a name":  ok + ": 2\r\nContent-Length: 0\r\n\r\n",
	"a header in two lines":    ok + "Content-Length: 0\r\n : 1\r\n\r\n",
	"a space before the colon": ok + "Content-Length : 0\r\n\r\n",
	"a CR within a line":       ok + "A: b\rContent-Length: 0\r\n\r\n",
	"headers beyond measure":   ok + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 300) + "Content-Length: 0\r\n\r\n",
	"a line without end":       ok + "A: " + strings.Repeat("b", 1<<20),
	"hints without end":        strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10_000),
	"no length":                ok + "\r\nhi",
	"a negative length":        ok + "Content-Length: -1\r\n\r\n",
	"a signed length":          ok + "Content-Length: +2\r\n\r\nhi",
	"a word for a length":      ok + "Content-Length: two\r\n\r\nhi",
	"two lengths":              ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
	"a length beyond measure":  ok + "Content-Length: 99999999999\r\n\r\n",
	"a byte too many":          ok + "Content-Length: 65537\r\n\r\n" + strings.Repeat("a", 65537),
	"half a body":              ok + "Content-Length: 10\r\n\r\nhi",
	"a compressed body":        ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"chunks of an old server":  "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"two codings":              ok + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"half a chunk":             ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhi",
	"no last chunk":            ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	"a chunk without end":      ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
	"a word for a chunk size":  ok + "Transfer-Encoding: chunked\r\n\r\nxx\r\nhi\r\n0\r\n\r\n",
	"a negative chunk":         ok + "Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
	"a chunk beyond measure":   ok + "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
	"chunks without end":       ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+strings.Repeat("a", 1024)+"\r\n", 65),
	"a long extension":         ok + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("a", 20<<10) + "\r\nhi\r\n0\r\n\r\n",
	"a trailer without end":    ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", 10_000),
	"a broken trailer":         ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA\r\n\r\n",
}

func TestBrokenAnswersAreErrors(t *testing.T) {
	for name, raw := range broken {
		if a, _, err := read(raw, limits); err == nil {
			t.Errorf("%s: taken for status %d, %d bytes", name, a.Status, len(a.Body))
		}
	}
}

// TestUntilClosed: a body without a length is taken where that is allowed.
func TestUntilClosed(t *testing.T) {
	limits := limits
	limits.UntilClosed = true
	if a, _, err := read(broken["no length"], limits); err != nil || string(a.Body) != "hi" || !a.Last {
		t.Errorf("%+v, error %v", a, err)
	}
	if _, _, err := read(ok+"\r\n"+strings.Repeat("a", 65537), limits); err == nil {
		t.Error("a byte too many is taken")
	}
	for _, name := range []string{"a negative length", "a compressed body", "half a body"} {
		if _, _, err := read(broken[name], limits); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestHeader(t *testing.T) {
	a, _, err := read(ok+"cache-control: no-store\r\nContent-Length: 0\r\nCache-Control:max-age=5\r\nAge:\r\n\r\n", limits)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store, max-age=5", "AGE": "", "content-length": "0", "X": ""} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// What is read does not depend on what follows it, is never longer than what was there,
// and net/http reads the same of it where it takes it too.
func FuzzRead(f *testing.F) {
	for _, raw := range broken {
		if len(raw) < 1000 {
			f.Add([]byte(raw))
		}
	}
	f.Add([]byte(ok + "Content-Length: 2\r\n\r\nhi"))
	f.Add([]byte(ok + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nA: b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, left, err := read(string(raw), limits)
		if err != nil {
			return
		}
		if len(a.Body)+left > len(raw) {
			t.Errorf("%d bytes hold a body of %d and leave %d", len(raw), len(a.Body), left)
		}
		if a.Status != 204 && a.Status != 304 {
			again := fmt.Sprintf("HTTP/1.1 %d\r\nContent-Length: %d\r\n\r\n%sNEXT", a.Status, len(a.Body), a.Body)
			b, left, err := read(again, limits)
			if err != nil || b.Status != a.Status || !bytes.Equal(b.Body, a.Body) || left != 4 {
				t.Errorf("%q became %d %q with %d left (%v)", raw, b.Status, b.Body, left, err)
			}
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil || theirs.StatusCode < 200 {
			return // stricter, or an answer before the answer
		}
		body, err := io.ReadAll(theirs.Body)
		if err == nil && (theirs.StatusCode != a.Status || !bytes.Equal(body, a.Body)) {
			t.Errorf("%q: we read %d %q, net/http %d %q", raw, a.Status, a.Body, theirs.StatusCode, body)
		}
	})
}
