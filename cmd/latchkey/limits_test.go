package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestEveryPathwayIsLimited repeats what is wrong, or sends mail, on each pathway:
// before the tenth time in a row the program says when to come again.
func TestEveryPathwayIsLimited(t *testing.T) {
	for name, c := range map[string]struct{ path, body string }{
		"login":                {"/login", `{"username":"francesco","password":"wrong N"}`},
		"login as nobody":      {"/login", `{"username":"nobody","password":"wrong N"}`},
		"refresh":              {"/token/refresh", `{"refresh_token":"made.upN"}`},
		"verify by link":       {"/email/verify", `{"token":"made.upN"}`},
		"verify by code":       {"/email/verify", `{"email":"ada@example.com","code":"AAAA-AAAN"}`},
		"reset by link":        {"/password/reset", `{"token":"made.upN","password":"correct horse battery"}`},
		"reset by code":        {"/password/reset", `{"email":"ada@example.com","code":"AAAA-AAAN","password":"correct horse battery"}`},
		"forgot":               {"/password/forgot", `{"email":"ada@example.com"}`},
		"another confirmation": {"/email/verify/resend", `{"email":"ada@example.com"}`},
		"register":             {"/register", `{"email":"ada@example.com","password":"correct horse N"}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProgram(t, t.TempDir(), []string{"LATCHKEY_ARGON2=m=8,t=1,p=1"}, "offline", "--addr", "127.0.0.1:0", "--data", ":memory:")
			for i := range 9 {
				res, err := http.Post(p.url+c.path, "application/json", strings.NewReader(strings.ReplaceAll(c.body, "N", strconv.Itoa(i))))
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				switch seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); {
				case res.StatusCode == http.StatusTooManyRequests:
					if err != nil || seconds < 1 {
						t.Errorf("Retry-After: %q", res.Header.Get("Retry-After"))
					}
					return
				case res.StatusCode >= 500:
					t.Fatalf("request %d: %s", i, res.Status)
				}
			}
			t.Error("nine were not limited")
		})
	}
}
