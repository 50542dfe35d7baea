package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// Response is what a Lambda proxy integration returns.
type Response struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// Handler makes a Lambda function of an http.Handler. Events without method and
// path stand for the default request.
func Handler(h http.Handler, d Default) gateway.Function {
	return func(ctx context.Context, event []byte) ([]byte, error) {
		r, err := ParseRequest(ctx, event, d)
		if err != nil {
			return nil, err
		}
		w := &recorder{header: make(http.Header)}
		h.ServeHTTP(w, r)
		return json.Marshal(w.response())
	}
}

// recorder collects an answer.
type recorder struct {
	header http.Header
	status int
	sent   http.Header // the headers when the status was written
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // an early hint cannot be passed on
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *recorder) response() Response {
	w.WriteHeader(http.StatusOK)
	r := Response{StatusCode: w.status, Headers: last(w.sent), MultiValueHeaders: emptyIsNil(w.sent), Body: w.body.String()}
	if !utf8.Valid(w.body.Bytes()) {
		r.Body, r.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return r
}

// ErrMalformed: API Gateway answers 502 to such a response.
var ErrMalformed = errors.New("malformed Lambda proxy response")

// ParseResponse reads a function's answer as API Gateway does: an integer
// status, a string body, headers of scalar values.
func ParseResponse(doc []byte) (status int, header http.Header, body []byte, err error) {
	var r struct {
		StatusCode        json.RawMessage
		Headers           map[string]any
		MultiValueHeaders map[string][]any
		Body              *string
		IsBase64Encoded   bool
	}
	if err := json.Unmarshal(doc, &r); err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if status, err = strconv.Atoi(string(bytes.Trim(r.StatusCode, `"`))); err != nil || status < 200 || status > 599 {
		return 0, nil, nil, fmt.Errorf("%w: statusCode %s", ErrMalformed, r.StatusCode)
	}
	if header, err = parseHeaders(r.Headers, r.MultiValueHeaders); err != nil {
		return 0, nil, nil, err
	}
	if r.Body == nil {
		return status, header, nil, nil
	}
	body = []byte(*r.Body)
	if r.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(*r.Body); err != nil {
			return 0, nil, nil, fmt.Errorf("%w: body is not base64", ErrMalformed)
		}
	}
	return status, header, body, nil
}

func parseHeaders(single map[string]any, multi map[string][]any) (http.Header, error) {
	texts, lists := make(map[string]string), make(map[string][]string)
	for name, value := range single {
		text, err := scalar(name, value)
		if err != nil {
			return nil, err
		}
		texts[name] = text
	}
	for name, values := range multi {
		for _, value := range values {
			text, err := scalar(name, value)
			if err != nil {
				return nil, err
			}
			lists[name] = append(lists[name], text)
		}
	}
	return merge(texts, lists), nil
}

func scalar(name string, value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("%w: header %q is not a string, number or boolean", ErrMalformed, name)
}
