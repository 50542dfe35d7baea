package offline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/internal/cors"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/gateway/proxy"
)

// invoke answers with a function (Lambda proxy integration).
func (x *exchange) invoke(f gateway.Function) {
	done, ok := x.permit()
	if !ok {
		return
	}
	defer done()
	body, ok := x.body()
	if !ok {
		return
	}
	if escapedSize(body) > maxEvent {
		x.refuse(gateway.RequestTooLarge)
		return
	}
	route := x.match.Route
	event, err := json.Marshal(proxy.NewEvent(x.r, body, proxy.Setting{
		AccountID: accountID, APIID: apiID, Stage: stage, RequestID: x.id, Time: x.start,
		Resource: route.Path, PathParameters: x.match.Params, Authorizer: x.auth.context,
	}))
	if err != nil {
		x.fail(gateway.IntegrationFailure, err)
		return
	}
	answer, err := call(x.lambdaContext(route.To), x.Timeout, f, event)
	if errors.Is(err, context.DeadlineExceeded) {
		x.fail(gateway.IntegrationTimeout, err)
		return
	}
	if err != nil {
		x.fail(gateway.IntegrationFailure, err)
		return
	}
	status, header, content, err := proxy.ParseResponse(answer)
	if err != nil {
		x.fail(gateway.IntegrationFailure, err)
		return
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json") // API Gateway's own default
	}
	header.Del("Content-Length")
	remap(header)
	out := x.w.Header()
	header["Vary"] = cors.MergeVary(header["Vary"], out["Vary"])
	maps.Copy(out, header)
	x.w.WriteHeader(status)
	x.w.Write(content)
}

// lambdaContext is what a function sees of its invocation.
func (x *exchange) lambdaContext(function string) context.Context {
	return LambdaContext(x.r.Context(), function, x.id)
}

// LambdaContext returns a context as a function on Lambda gets it.
func LambdaContext(ctx context.Context, function, requestID string) context.Context {
	return gateway.WithInvocation(ctx, gateway.Invocation{
		RequestID:   requestID,
		FunctionARN: "arn:aws:lambda:" + region + ":" + accountID + ":function:" + function,
	})
}

// permit waits until a large body may be read. One of unknown length is large, and
// one that says that it is over the quota is refused unread.
func (x *exchange) permit() (done func(), ok bool) {
	switch n := x.r.ContentLength; {
	case n > maxBody:
		// Over HTTP/1.1 net/http would read on before it answers. Over HTTP/2 the header
		// would end a connection that other requests share.
		if x.r.ProtoMajor == 1 {
			x.w.Header().Set("Connection", "close")
		}
		x.refuse(gateway.RequestTooLarge)
		return nil, false
	case n >= 0 && n <= largeBody:
		return func() {}, true
	}
	select {
	case x.large <- struct{}{}:
		return func() { <-x.large }, true
	case <-x.r.Context().Done():
		return nil, false
	}
}

// escapedSize is about what a body takes in JSON.
func escapedSize(body []byte) int {
	n := len(body)
	for _, c := range body {
		switch {
		case c < ' ' || c == '<' || c == '>' || c == '&':
			n += 5
		case c == '"' || c == '\\':
			n++
		}
	}
	return n
}

// body reads the request's body within the quota.
func (x *exchange) body() ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		x.refuse(gateway.RequestTooLarge)
	case err != nil:
		// The client went away or sent a broken chunk: nobody hears the answer.
		x.refuse(gateway.BadRequestParameters)
	default:
		return body, true
	}
	return nil, false
}

// remap hides a challenge as REST APIs do ("Important notes for REST APIs"),
// and keeps the gateway's request id.
func remap(h http.Header) {
	h.Del("X-Amzn-Requestid")
	if values, ok := h["Www-Authenticate"]; ok {
		delete(h, "Www-Authenticate")
		h["X-Amzn-Remapped-Www-Authenticate"] = values
	}
}

type exchangeKey struct{}

// forward answers with the server that the route names (HTTP proxy integration).
func (x *exchange) forward(upstream http.Handler) {
	identity, err := gateway.IdentityHeaders(x.Claims, x.auth.text)
	if err != nil {
		x.fail(gateway.IntegrationFailure, err)
		return
	}
	x.identityHeaders = identity
	done, ok := x.permit()
	if !ok {
		return
	}
	defer done()
	body, ok := x.body()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithValue(x.r.Context(), exchangeKey{}, x), x.Timeout)
	defer cancel()
	r := x.r.Clone(ctx)
	r.Body, r.ContentLength, r.Trailer, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil, nil
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	upstream.ServeHTTP(x.w, r)
}

func (a *api) newUpstream(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second},
		ErrorLog:  slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
		Rewrite: func(p *httputil.ProxyRequest) {
			dropOverrides(p.Out.Header)
			p.SetURL(target)
			p.SetXForwarded()
			// An upgraded connection (WebSocket, h2c) would carry requests past
			// the authorizer; REST APIs do not offer it.
			p.Out.Header.Del("Upgrade")
			p.Out.Header.Del("Connection")
			setIdentity(p.Out.Header, p.In.Context().Value(exchangeKey{}).(*exchange).identityHeaders)
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode < 200 {
				return errors.New("upstream answered " + r.Status)
			}
			remap(r.Header)
			x := r.Request.Context().Value(exchangeKey{}).(*exchange)
			if own := x.w.Header()["Vary"]; own != nil || r.Header["Vary"] != nil {
				r.Header["Vary"] = cors.MergeVary(own, r.Header["Vary"])
			}
			for name := range x.w.Header() {
				// What the upstream says itself replaces the gateway's.
				if _, ok := r.Header[name]; ok {
					x.w.Header().Del(name)
				}
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			x := r.Context().Value(exchangeKey{}).(*exchange)
			if errors.Is(err, context.DeadlineExceeded) {
				x.fail(gateway.IntegrationTimeout, err)
				return
			}
			x.fail(gateway.IntegrationFailure, err)
		},
	}
}
