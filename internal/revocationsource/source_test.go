package revocationsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/fetch"
	"github.com/latchkey-auth/latchkey/revocation"
)

const key = "nB3-vT8_yK1.qW6~xR9sL4pZ7cF2hJ5dG0mA"

func lambdaEnv(name string) string {
	return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hunter2"}[name]
}

func nothing(string) string { return "" }

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		address, key string
		getenv       func(string) string
		want         string // of the error; empty: none
	}{
		{"https://auth.example.com/revocations", key, nothing, ""},
		{"dynamodb://latchkey", "", lambdaEnv, ""},
		{"dynamodb://latchkey?region=eu-west-1&endpoint=http://127.0.0.1:8000", "", lambdaEnv, ""},
		{"", "", nothing, "must be like"},
		{"latchkey", "", nothing, "must be like"},
		{"postgres://u:hunter2@h/d", "", nothing, "must be like"},
		{"https://auth.example.com/revocations", "", nothing, "32 bytes"},
		{"http://auth.example.com/revocations", key, nothing, "must be https"},
		{"dynamodb://latchkey", key, lambdaEnv, "needs no LATCHKEY_REVOCATION_KEY"},
		{"dynamodb://latchkey", "", nothing, "no AWS region"},
		{"dynamodb://latchkey?region=eu-west-1", "", nothing, "no AWS credentials"},
		{"dynamodb://latchkey/x", "", lambdaEnv, "must be like"},
		{"dynamodb://u:hunter2@latchkey", "", lambdaEnv, "must be like"},
		{"dynamodb://latchkey?table=x", "", lambdaEnv, "not known"},
		{"dynamodb://latchkey?region=a&region=b", "", lambdaEnv, "twice"},
		{"dynamodb://latchkey?endpoint=http://db.example.com", "", lambdaEnv, "must be https"},
		{"dynamodb://latchkey?endpoint=https://u:hunter2@db.example.com", "", lambdaEnv, "must be like"},
	} {
		_, err := Open(Config{Address: c.address, Key: c.key, Getenv: c.getenv})
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: got %v, want %q", c.address, err, c.want)
		}
	}
}

// TestEndpointOfTheEnvironment: the address first, then the service's variable, then the
// one of all services.
func TestEndpointOfTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		address string
		env     map[string]string
		want    string
	}{
		{"dynamodb://t", nil, "https://dynamodb.eu-central-1.amazonaws.com"},
		{"dynamodb://t", map[string]string{"AWS_ENDPOINT_URL": "https://all.example"}, "https://all.example"},
		{"dynamodb://t", map[string]string{"AWS_ENDPOINT_URL": "https://all.example", "AWS_ENDPOINT_URL_DYNAMODB": "https://db.example"}, "https://db.example"},
		{"dynamodb://t?endpoint=https://own.example", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "https://db.example"}, "https://own.example"},
	} {
		source, err := Open(Config{Address: c.address, Getenv: func(name string) string { return c.env[name] + lambdaEnv(name) }})
		if err != nil {
			t.Fatal(err)
		}
		if got := source.(*table).client.endpoint; got != c.want {
			t.Errorf("%s with %v asks %s, want %s", c.address, c.env, got, c.want)
		}
	}
}

// database answers operations, by turns, with what it is given.
func database(t *testing.T, answers ...string) *table {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n == len(answers) {
			t.Errorf("%s is one request too many", r.Header.Get("X-Amz-Target"))
			return
		}
		answer := answers[n]
		n++
		if status, rest, ok := strings.Cut(answer, " "); ok && len(status) == 3 {
			var code int
			fmt.Sscan(status, &code)
			w.WriteHeader(code)
			answer = rest
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	source, err := Open(Config{Address: "dynamodb://latchkey?endpoint=" + s.URL, Getenv: lambdaEnv})
	if err != nil {
		t.Fatal(err)
	}
	return source.(*table)
}

const (
	day       = `{"Items":[{"PK":{"S":"revocations"},"SK":{"S":"2026-01-02"},"Shards":{"N":"1"}}]}`
	throttled = `400 {"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slower"}`
	denied    = `400 {"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no","message":"not authorized to perform: dynamodb:Query"}`
)

// TestFaultsOfTheTable: what passes is tried again, and nothing broken is an empty list.
func TestFaultsOfTheTable(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		want    string // of the error; empty: none
	}{
		"throttled for a moment": {[]string{throttled, day, "500 oops", `{"Items":[]}`}, ""},
		"throttled":              {[]string{throttled, throttled, throttled}, "ThrottlingException"},
		"a fault of the service": {[]string{"503 a", "503 a", "503 a"}, "status 503"},
		"a missing right":        {[]string{denied}, "dynamodb:Query"},
		"no JSON":                {[]string{"<html>", "<html>", "<html>"}, "decoding"},
		"a day without shards":   {[]string{`{"Items":[{"SK":{"S":"2026-01-02"}}]}`}, "no number of shards"},
		"a line that is no line": {[]string{day, `{"Items":[{"SK":{"S":"a"},"Line":{"S":"x"}}]}`}, "revocation a"},
		"a line that is missing": {[]string{day, `{"Items":[{"SK":{"S":"a"}}]}`}, "revocation a"},
		"no list of items":       {[]string{`{}`}, "no list of items"},
		"two pages":              {[]string{day, `{"Items":[],"LastEvaluatedKey":{"PK":{"S":"a"},"SK":{"S":"b"}}}`, `{"Items":[]}`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := database(t, c.answers...).Revocations(t.Context(), "")
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("got %+v, %v; want %q", page, err, c.want)
			}
		})
	}
	if _, err := database(t).Revocations(t.Context(), "x"); err == nil {
		t.Error("a place that is none is taken")
	}
	unread := `{"UnprocessedKeys":{"latchkey":{"Keys":[{"PK":{"S":"user#u"},"SK":{"S":"user#sign-in"}}]}}}`
	if _, err := database(t, unread, unread, unread).Ended(t.Context(), latchkey.Claims{Subject: "u", SessionID: "s"}); err == nil || !strings.Contains(err.Error(), "unread") {
		t.Errorf("items that stay unread: %v", err)
	}
}

func TestTooManyInTheTable(t *testing.T) {
	s := database(t, day, `{"Items":[{"Line":{"S":"{}"}},{"Line":{"S":"{}"}}]}`)
	s.most = 1
	if _, err := s.Revocations(t.Context(), ""); !errors.Is(err, revocation.ErrTooMany) {
		t.Errorf("got %v", err)
	}
}

// FuzzAnswers: any answer of DynamoDB is an error, or a list and a decision that have
// all that was asked for.
func FuzzAnswers(f *testing.F) {
	for _, answer := range []string{
		day, `{"Items":[]}`, `{}`, `null`, ``, `{"Items":[],"LastEvaluatedKey":{"PK":{"S":"a"},"SK":{"S":"b"}}}`,
		`{"Items":[{"SK":{"S":"a"},"Line":{"S":"{\"UserID\":\"u\",\"Epoch\":3,\"ExpiresAt\":\"2026-01-02T00:00:00Z\"}"}}]}`,
		`{"Items":[{"SK":{"S":"2026-01-02"},"Shards":{"N":"1e3"}}]}`, `{"Items":[{"SK":{"S":"2026-01-02"},"Shards":{"N":"99999999999999999999"}}]}`,
		`{"Responses":{"latchkey":[{"SK":{"S":"user#sign-in"},"Epoch":{"N":"1"}},{"SK":{"S":"session"},"UserID":{"S":"u"},"Epoch":{"N":"1"},"ExpiresAt":{"N":"1"}}]}}`,
		`{"UnprocessedKeys":{"latchkey":{"Keys":[{"PK":{"S":"user#u"},"SK":{"S":"user#sign-in"}}]}}}`,
	} {
		f.Add(200, answer, `{"Items":[]}`)
	}
	f.Add(400, `{"__type":"#AccessDeniedException"}`, ``)
	source, err := Open(Config{Address: "dynamodb://latchkey", Getenv: lambdaEnv})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, first, then string) {
		if status >= 500 || strings.Contains(first+then, "hrottling") || strings.Contains(first+then, "xceeded") {
			t.Skip("waits, and asks again")
		}
		asked := *source.(*table)
		answers := func() { // anew for each call; the answers end, also where they say that there is more
			var n atomic.Int32 // shards are read at the same time
			asked.client.fetch = func(context.Context, fetch.Request) (fetch.Response, error) {
				switch n.Add(1) {
				case 1:
					return fetch.Response{Status: status, Body: []byte(first)}, nil
				case 2:
					return fetch.Response{Status: 200, Body: []byte(then)}, nil
				}
				return fetch.Response{Status: 400}, nil
			}
		}
		answers()
		page, err := asked.Revocations(t.Context(), "")
		if err == nil && (status != 200 || page.Next == "" || page.Since.IsZero()) {
			t.Errorf("%d %q is taken for the page %+v", status, first, page)
		}
		answers()
		ended, err := asked.Ended(t.Context(), latchkey.Claims{Subject: "u", SessionID: "s"})
		if err == nil && !ended && !strings.Contains(first+then, "u") {
			t.Errorf("%q says that the session of another goes on", first)
		}
	})
}
