// Package awstest is AWS for tests, in the process: an endpoint that takes requests in the
// wire format of the services, checks their signatures, and answers as they do, also with
// errors.
package awstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Region is where the services are unless the client says otherwise.
const Region = "eu-west-1"

// credentials are the ones of Config and Env. The secret of every access key is theirs, so
// that a test tells clients apart by access keys of their own.
var credentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

// A Call is a request.
type Call struct {
	Service string // as the signature names it: "kms"
	Region  string // likewise
	// AccessKey is the id of the key that it is signed by.
	AccessKey string
	// Operation is what X-Amz-Target says after the dot, or method and path where the
	// service has no such header.
	Operation string
	Body      []byte
}

// Read decodes the body.
func (c Call) Read(into any) error { return json.Unmarshal(c.Body, into) }

// An Error is an answer that is none of success, as services write it.
type Error struct {
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Denied is the answer of AWS when a right is missing.
func Denied(action, resource string) *Error {
	return &Error{400, "AccessDeniedException", fmt.Sprintf("User: arn:aws:sts::123456789012:assumed-role/latchkey/auth is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", action, resource, action)}
}

// Throttled is the answer of AWS to too many requests.
func Throttled() *Error { return &Error{400, "ThrottlingException", "Rate exceeded"} }

// A Server is the endpoint.
type Server struct {
	URL string

	mu     sync.Mutex
	answer func(Call) (any, error)
	calls  []Call
}

// New starts an endpoint that ends with the test. What answer returns becomes the JSON of
// the answer; an *Error becomes one of AWS, and a nil answer leaves the request without
// one.
func New(t testing.TB, answer func(Call) (any, error)) *Server {
	t.Helper()
	s, end := Start(answer)
	t.Cleanup(end)
	return s
}

// Start is New without a test: the caller ends the endpoint.
func Start(answer func(Call) (any, error)) (s *Server, end func()) {
	s = &Server{answer: answer}
	h := httptest.NewServer(s)
	s.URL = h.URL
	return s, func() {
		h.CloseClientConnections() // or Close waits for those without an answer
		h.Close()
	}
}

// Config is the configuration of a client.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region: Region, BaseEndpoint: &s.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
		Retryer:     func() aws.Retryer { return quick{} },
	}
}

// Env are the variables of a process that is a client.
func (s *Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.URL, "AWS_REGION=" + Region, "AWS_ACCESS_KEY_ID=" + credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + credentials.SecretAccessKey,
		"AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// Calls are those that have arrived.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Operations are those that have arrived, "kms Decrypt".
func (s *Server) Operations() []string {
	var all []string
	for _, c := range s.Calls() {
		all = append(all, c.Service+" "+c.Operation)
	}
	return all
}

// Have answers from now on.
func (s *Server) Have(answer func(Call) (any, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	call := Call{Body: body}
	if err := call.verify(r); err != nil {
		write(w, 403, &Error{403, "InvalidSignatureException", err.Error()})
		return
	}
	call.Operation = r.Method + " " + r.URL.Path
	if _, operation, found := strings.Cut(r.Header.Get("X-Amz-Target"), "."); found {
		call.Operation = operation
		if got := r.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
			write(w, 400, &Error{400, "SerializationException", "content type " + got})
			return
		}
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	handle := s.answer
	s.mu.Unlock()
	answer, err := handle(call)
	switch e, known := err.(*Error); {
	case known:
		write(w, e.Status, e)
	case err != nil:
		write(w, 500, &Error{500, "InternalFailure", err.Error()})
	case answer == nil:
		<-r.Context().Done()
	default:
		write(w, 200, answer)
	}
}

func write(w http.ResponseWriter, status int, answer any) {
	if e, failed := answer.(*Error); failed {
		w.Header().Set("X-Amzn-Errortype", e.Code) // of REST services
		answer = map[string]string{"__type": e.Code, "message": e.Message}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "11111111-2222-3333-4444-555555555555")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// verify signs the request again and compares.
func (c *Call) verify(r *http.Request) error {
	said := r.Header.Get("Authorization")
	fields := strings.FieldsFunc(said, func(c rune) bool { return c == ' ' || c == ',' })
	if len(fields) != 4 || fields[0] != "AWS4-HMAC-SHA256" {
		return fmt.Errorf("the request has no signature: Authorization %.20q", said)
	}
	scope := strings.Split(strings.TrimPrefix(fields[1], "Credential="), "/")
	if len(scope) != 5 {
		return fmt.Errorf("credential %q", fields[1])
	}
	c.AccessKey, c.Region, c.Service = scope[0], scope[2], scope[3]
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(c.Body))
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(fields[2], "SignedHeaders="), ";") {
		if name != "host" && name != "content-length" {
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(c.Body)
	own := credentials
	own.AccessKeyID = c.AccessKey
	if err := v4.NewSigner().SignHTTP(r.Context(), own, again, hex.EncodeToString(sum[:]), c.Service, c.Region, at); err != nil {
		return err
	}
	if got := again.Header.Get("Authorization"); got != said {
		return fmt.Errorf("the signature is wrong: %s", said)
	}
	return nil
}

// quick retries as the SDK does, without its waits.
type quick struct{}

func (quick) IsErrorRetryable(err error) bool { return retry.NewStandard().IsErrorRetryable(err) }
func (quick) MaxAttempts() int                { return 3 }
func (quick) RetryDelay(int, error) (time.Duration, error) {
	return time.Millisecond, nil
}
func (quick) GetRetryToken(context.Context, error) (func(error) error, error) {
	return func(error) error { return nil }, nil
}
func (quick) GetInitialToken() func(error) error { return func(error) error { return nil } }
