package httpauth

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/latchkey-auth/latchkey/internal/fetch"
	"github.com/latchkey-auth/latchkey/internal/http1"
)

// Fetch has key sets (jwks.Config.Fetch) and revocations (feed.Config.Fetch) read by a
// client of yours: through a proxy, say, or with certificates of your own. It follows no
// redirects.
func Fetch(client *http.Client) fetch.Func {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
		if err != nil {
			return fetch.Response{}, err
		}
		for name, value := range r.Header {
			request.Header.Set(name, value)
		}
		res, err := c.Do(request)
		if err != nil {
			return fetch.Response{}, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(io.LimitReader(res.Body, int64(r.MaxBody)+1))
		if err == nil && len(body) > r.MaxBody {
			err = fetch.ErrTooLong
		}
		answer := fetch.Response{Status: res.StatusCode, Body: body}
		for name, values := range res.Header {
			for _, value := range values {
				answer.Header = append(answer.Header, http1.Field{Name: name, Value: value})
			}
		}
		return answer, err
	}
}
