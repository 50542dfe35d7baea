package gateway_test

import (
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// reportProcessorTime measures f by the time of its thread: what other programs use of the
// machine does not count. It reports the best of fifty.
func reportProcessorTime(b *testing.B, f func()) {
	best := time.Hour
	for range 50 {
		best = min(best, costtest.Time(f))
	}
	b.ReportMetric(float64(best), "cpu-ns/op")
}

// BenchmarkHandle is one decision with a verified token remembered, for each kind of
// event; the events are as large as AWS's.
func BenchmarkHandle(b *testing.B) {
	token := mint(map[string]any{"username": "ada", "scope": "orders:read"})
	run := func(name string, a *gateway.Authorizer, event []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Handle(b.Context(), event); err != nil {
					b.Fatal(err)
				}
			}
			reportProcessorTime(b, func() { a.Handle(b.Context(), event) })
		})
	}
	a := newAuthorizer(shop(b))
	for _, file := range []string{"rest-token", "rest-request", "websocket-connect", "http-api-1.0", "http-api-2.0", "appsync"} {
		run(file, a, sample(b, file, token))
	}
	for _, style := range []gateway.HTTPAnswer{gateway.AnswerSimple, gateway.AnswerSimplePerRoute} {
		run("http-api-2.0-"+string(style), with(b, func(cfg *gateway.AuthorizerConfig) { cfg.HTTPAnswer = style }), sample(b, "http-api-2.0", token))
	}
	run("rest-request-claims", with(b, func(cfg *gateway.AuthorizerConfig) {
		cfg.Claims = []gateway.ContextClaim{{Claim: "sub", Name: "sub"}, {Claim: "email", Name: "email"}, {Claim: "aud", Name: "aud"}}
	}), sample(b, "rest-request", token))
}
