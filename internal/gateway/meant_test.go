package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// TestMeantRoute: patterns of other routers are refused, with the route that they
// stand for.
func TestMeantRoute(t *testing.T) {
	for declared, meant := range map[string]string{
		"GET /orders/:id":                 "GET /orders/{id}",
		"GET /orders/:id/refunds/:refund": "GET /orders/{id}/refunds/{refund}",
		"GET /orders/<id>":                "GET /orders/{id}",
		"GET /orders/<int:id>":            "GET /orders/{id}",
		"GET /orders/[id]":                "GET /orders/{id}",
		"GET /files/[...path]":            "GET /files/{path+}",
		"GET /files/*":                    "GET /files/{path+}",
		"GET /files/**":                   "GET /files/{path+}",
		"GET /files/*rest":                "GET /files/{rest+}",
		"GET /files/:rest*":               "GET /files/{rest+}",
		"GET /files/{rest*}":              "GET /files/{rest+}",
		"GET /orders/":                    "GET /orders",
		"GET orders":                      "GET /orders",
		"get /orders":                     "GET /orders",
		"get /orders/:id":                 "GET /orders/{id}",
		"* /orders":                       "ANY /orders",
		"/orders":                         "GET /orders",
		"GET  /orders":                    "GET /orders",
		"GET, HEAD /orders":               "GET,HEAD /orders",
		"get|head /orders":                "GET,HEAD /orders",
		"GET /a b":                        "",
		"FETCH /orders":                   "",
		"GET /orders/{id+}/x":             "",
		"GET /orders/{id}/{id}":           "",
		"GET /a//b":                       "",
		"GET /:":                          "",
	} {
		verbs, path, err := gateway.ParseRoute(declared)
		if err == nil {
			_, err = gateway.NewTable([]gateway.Route{{Method: verbs[0], Path: path, To: "f"}})
		}
		if err == nil {
			t.Errorf("%.40q is taken", declared)
			continue
		}
		question := ""
		if _, after, ok := strings.Cut(err.Error(), "did you mean "); ok {
			question = after
		}
		want := ""
		if meant != "" {
			want = fmt.Sprintf("%q?", meant)
		}
		if question != want {
			t.Errorf("%.40q: asks %q, want %q: %v", declared, question, want, err)
		}
	}
	for _, taken := range []string{"GET /v1/orders:batch", "GET /{id}", "GET /"} {
		verbs, path, err := gateway.ParseRoute(taken)
		if err == nil {
			_, err = gateway.NewTable([]gateway.Route{{Method: verbs[0], Path: path, To: "f"}})
		}
		if err != nil {
			t.Error(err)
		}
	}
}
