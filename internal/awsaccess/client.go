package awsaccess

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// A Service of AWS that is asked by JSON.
type Service struct {
	ID      string // in AWS_ENDPOINT_URL_<ID> and the sections of the shared configuration
	Host    string // first label of its host name
	Signing string // its name in signatures
	// Target begins X-Amz-Target, of services with the JSON 1.1 protocol. Empty: the
	// operation is a path (REST).
	Target string
}

var (
	KMS            = Service{"KMS", "kms", "kms", "TrentService"}
	SecretsManager = Service{"Secrets Manager", "secretsmanager", "secretsmanager", "secretsmanager"}
	SSM            = Service{"SSM", "ssm", "ssm", "AmazonSSM"}
	SESv2          = Service{"SESv2", "email", "ses", ""}
)

// A Client sends signed requests in one region, and repeats them as the SDK would. The
// SDK's own clients of these services are not used: what they prepare at the start of every
// program, asked or not, costs more than all that latchkey does there; see docs/design.md.
type Client struct {
	cfg     aws.Config // In has prepared it
	retryer aws.Retryer
	signer  *v4.Signer
}

// NewClient returns a client for a region, that of the configuration where it is empty. One
// attempt of a request may take so long.
func NewClient(cfg aws.Config, region string, attempt time.Duration) (*Client, error) {
	cfg, err := In(cfg, region, attempt)
	if err != nil {
		return nil, err
	}
	return &Client{cfg, retryerOf(cfg), v4.NewSigner()}, nil
}

// Region is where the requests go.
func (c *Client) Region() string { return c.cfg.Region }

// retryerOf is what AWS_RETRY_MODE and AWS_MAX_ATTEMPTS say.
func retryerOf(cfg aws.Config) aws.Retryer {
	var r aws.Retryer = retry.NewStandard()
	switch {
	case cfg.Retryer != nil:
		r = cfg.Retryer()
	case cfg.RetryMode == aws.RetryModeAdaptive:
		r = retry.NewAdaptiveMode()
	}
	if cfg.RetryMaxAttempts > 0 {
		r = retry.AddWithMaxAttempts(r, cfg.RetryMaxAttempts)
	}
	return r
}

// Do carries out an operation: its name, or a path of REST. Errors that the service answers
// are a smithy.APIError.
func (c *Client) Do(ctx context.Context, s Service, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	endpoint, err := c.endpoint(ctx, s)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := c.try(ctx, s, endpoint, operation, body, out)
		if err == nil || ctx.Err() != nil || attempt >= c.retryer.MaxAttempts() || !c.retryer.IsErrorRetryable(err) {
			return wrap(ctx, operation, err)
		}
		delay, delayErr := c.retryer.RetryDelay(attempt, err)
		if delayErr != nil {
			return wrap(ctx, operation, err)
		}
		select {
		case <-ctx.Done():
			return wrap(ctx, operation, err)
		case <-time.After(delay):
		}
	}
}

// wrap says why an operation has ended, also when its time was over.
func wrap(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// maxAnswer is above what any of these services answers.
const maxAnswer = 1 << 20

func (c *Client) try(ctx context.Context, s Service, endpoint, operation string, body []byte, out any) error {
	path := "/"
	if s.Target == "" {
		path = operation
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "latchkey")
	r.Header.Set("Content-Type", "application/json")
	if s.Target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", s.Target+"."+operation)
	}
	if err := c.sign(ctx, s, r, body); err != nil {
		return err
	}
	answer, err := c.cfg.HTTPClient.Do(r)
	if err != nil {
		return &connectionError{err}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return &connectionError{err}
	case len(text) > maxAnswer:
		return errors.New("the answer is too long")
	case answer.StatusCode != http.StatusOK:
		return answerError(answer, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the answer is not what AWS documents: %w", err)
	}
	return nil
}

func (c *Client) sign(ctx context.Context, s Service, r *http.Request, body []byte) error {
	if c.cfg.Credentials == nil {
		return &v4.SigningError{Err: errors.New("there are no credentials")}
	}
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return &v4.SigningError{Err: err}
	}
	sum := sha256.Sum256(body)
	return c.signer.SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), s.Signing, c.cfg.Region, time.Now())
}

// connectionError is why there is no whole answer. The request may be repeated: of each
// of these operations a second one is harmless, or refused, or a mail that comes twice.
type connectionError struct{ error }

func (e *connectionError) ConnectionError() bool { return true }
func (e *connectionError) Unwrap() error         { return e.error }

// A statusError is what a service answers in place of success. The status tells the retryer
// what may be repeated.
type statusError struct {
	smithy.GenericAPIError
	status int
}

func (e *statusError) HTTPStatusCode() int { return e.status }

// answerError reads the error of either protocol: the code is in a header, or in the body
// behind a namespace.
func answerError(answer *http.Response, body []byte) error {
	var said struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"` // or "Message"
	}
	_ = json.Unmarshal(body, &said) // a proxy's error is none of AWS
	code := said.Type
	if code == "" {
		code = said.Code
	}
	if header := answer.Header.Get("X-Amzn-Errortype"); header != "" {
		code = header
	}
	code, _, _ = strings.Cut(code[strings.LastIndexByte(code, '#')+1:], ":")
	e := &statusError{smithy.GenericAPIError{Code: code, Message: said.Message, Fault: smithy.FaultClient}, answer.StatusCode}
	if answer.StatusCode >= 500 {
		e.Fault = smithy.FaultServer
	}
	if e.Code == "" {
		e.Code = fmt.Sprintf("status %d", answer.StatusCode)
	}
	return e
}
