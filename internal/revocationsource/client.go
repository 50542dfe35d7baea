package revocationsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fetch"
)

const (
	tryTimeout = 1500 * time.Millisecond
	maxTries   = 3
	maxAnswer  = 17 << 20 // bytes: DynamoDB sends 16 MB at most
	maxIdle    = 8        // connections that are kept: the shards of a day are read at the same time
)

// A client calls the JSON protocol of DynamoDB.
type client struct {
	endpoint, region string
	credentials      func() credentials
	fetch            fetch.Func
	now              func() time.Time
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
	r := fetch.Request{Method: "POST", URL: c.endpoint + "/", Body: body, MaxBody: maxAnswer, Header: map[string]string{
		"Content-Type": "application/x-amz-json-1.0",
		"X-Amz-Target": "DynamoDB_20120810." + operation,
	}}
	sign(&r, c.region, c.credentials(), c.now())
	res, err := c.fetch(ctx, r)
	switch {
	case err != nil:
		return fmt.Errorf("dynamodb:%s: %w", operation, err)
	case res.Status != 200:
		return refusalOf(operation, res.Status, res.Body)
	}
	if err := json.Unmarshal(res.Body, out); err != nil {
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
