package revocationsource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	tryTimeout = 1500 * time.Millisecond
	maxTries   = 3
	maxAnswer  = 17 << 20 // bytes: DynamoDB sends 16 MB at most
)

// A client calls the JSON protocol of DynamoDB.
type client struct {
	endpoint, region string
	credentials      func() credentials
	http             *http.Client
	now              func() time.Time
}

func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: tryTimeout}).DialContext,
			TLSHandshakeTimeout:    tryTimeout,
			MaxResponseHeaderBytes: 16 << 10,
			IdleConnTimeout:        time.Minute,
			MaxIdleConnsPerHost:    8, // the shards of a day are read at the same time
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call carries out an operation. What may pass by is tried again: throttling, faults of
// the service, connections that died while the function was frozen.
func (c *client) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := c.try(ctx, operation, body, out)
		var refused *refusal
		if err == nil || try == maxTries || ctx.Err() != nil || errors.As(err, &refused) && !refused.passes() {
			return err
		}
		if refused == nil {
			c.http.CloseIdleConnections()
		}
		select {
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *client) try(ctx context.Context, operation string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	sign(r, body, c.region, c.credentials(), c.now())
	res, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer of %s: %w", operation, err)
	case len(doc) > maxAnswer:
		return fmt.Errorf("%s: more than %d bytes", operation, maxAnswer)
	case res.StatusCode != http.StatusOK:
		return refusalOf(operation, res.StatusCode, doc)
	}
	if err := json.Unmarshal(doc, out); err != nil {
		return fmt.Errorf("decoding the answer of %s: %w", operation, err)
	}
	return nil
}

// A refusal is an error that DynamoDB answers with.
type refusal struct {
	operation string
	status    int
	kind      string // "ThrottlingException"
	text      string
}

func refusalOf(operation string, status int, doc []byte) *refusal {
	var answer struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(doc, &answer) // what is no JSON says nothing
	kind := answer.Type[strings.LastIndexByte(answer.Type, '#')+1:]
	return &refusal{operation, status, kind, answer.Message}
}

func (r *refusal) Error() string {
	return fmt.Sprintf("dynamodb:%s: status %d: %s: %.300s", r.operation, r.status, r.kind, r.text)
}

// passes reports whether the same request may succeed later.
func (r *refusal) passes() bool {
	switch r.kind {
	case "ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded":
		return true
	}
	return r.status >= 500
}
