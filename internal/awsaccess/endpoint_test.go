package awsaccess_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/awstest"
)

// hosts is an HTTP client that notes where requests go.
type hosts struct{ last string }

func (h *hosts) Do(r *http.Request) (*http.Response, error) {
	h.last = r.URL.String()
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

// TestEndpoints: the ones of AWS by region, and those of the standard variables.
func TestEndpoints(t *testing.T) {
	for _, c := range []struct {
		name, region string
		service      awsaccess.Service
		env          map[string]string
		want         string
	}{
		{"a region", "eu-west-1", awsaccess.KMS, nil, "https://kms.eu-west-1.amazonaws.com/"},
		{"REST", "eu-west-1", awsaccess.SESv2, nil, "https://email.eu-west-1.amazonaws.com/path"},
		{"China", "cn-north-1", awsaccess.SSM, nil, "https://ssm.cn-north-1.amazonaws.com.cn/"},
		{"FIPS", "us-gov-west-1", awsaccess.SecretsManager, map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "https://secretsmanager-fips.us-gov-west-1.amazonaws.com/"},
		{"dual stack", "eu-west-1", awsaccess.KMS, map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://kms.eu-west-1.api.aws/"},
		{"for all", "eu-west-1", awsaccess.SSM, map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"}, "http://127.0.0.1:4566/"},
		{"for one", "eu-west-1", awsaccess.SecretsManager, map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:2"}, "http://127.0.0.1:2/"},
		{"ignored", "eu-west-1", awsaccess.SSM, map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "https://ssm.eu-west-1.amazonaws.com/"},
		{"no public address", "us-iso-east-1", awsaccess.SecretsManager, nil, "set AWS_ENDPOINT_URL_SECRETS_MANAGER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_PROFILE"} {
				t.Setenv(name, "")
			}
			t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			cfg, err := awsaccess.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seen := &hosts{}
			cfg.HTTPClient = seen
			client, err := awsaccess.NewClient(cfg, c.region, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			err = client.Do(t.Context(), c.service, "/path", struct{}{}, &struct{}{})
			if err != nil {
				seen.last = err.Error()
			}
			if c.service.Target == "" && seen.last != c.want || c.service.Target != "" && !strings.HasSuffix(seen.last, c.want) {
				t.Errorf("asked %s, want %s", seen.last, c.want)
			}
		})
	}
}

// One configuration is read, however many ask for it.
func TestLoadReadsOnce(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	first, err := awsaccess.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_REGION", "eu-west-2")
	if second, err := awsaccess.Load(t.Context()); err != nil || second.Region != first.Region {
		t.Errorf("read again: %s, %v", second.Region, err)
	}
}

// What fails on the way is tried again as often as the SDK is told to.
func TestRetries(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"hangs up":  func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
		"is silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a proxy's error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>bad gateway", http.StatusBadGateway)
		},
		"stops in between": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int64
			ok := awstest.New(t, func(awstest.Call) (any, error) { return map[string]string{"Value": "good"}, nil })
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tries.Add(1) < 3 {
					io.Copy(io.Discard, r.Body)
					broken(w, r)
					return
				}
				ok.ServeHTTP(w, r)
			}))
			defer s.Close()
			defer s.CloseClientConnections()
			cfg := ok.Config()
			cfg.BaseEndpoint = &s.URL
			client, err := awsaccess.NewClient(cfg, "", 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			var out struct{ Value string }
			if err := client.Do(t.Context(), awsaccess.KMS, "Decrypt", struct{}{}, &out); err != nil || out.Value != "good" || tries.Load() != 3 {
				t.Errorf("%q, %v after %d tries", out.Value, err, tries.Load())
			}
		})
	}
}

// Answers that are none of AWS are errors, and no more memory than that.
func TestHostileAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, "not what AWS documents"},
		"endless":   {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 3<<20)) }, "too long"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) }, "status 302"},
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, "status 403"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			cfg := awstest.New(t, nil).Config()
			cfg.BaseEndpoint = &s.URL
			client, err := awsaccess.NewClient(cfg, "", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			err = client.Do(t.Context(), awsaccess.KMS, "Decrypt", struct{}{}, &struct{}{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestCauses(t *testing.T) {
	answer := func(code string) error {
		return &smithy.GenericAPIError{Code: code, Fault: smithy.FaultClient}
	}
	for _, c := range []struct {
		err  error
		want awsaccess.Cause
	}{
		{answer("AccessDeniedException"), awsaccess.Denied},
		{answer("ExpiredTokenException"), awsaccess.NoCredentials},
		{answer("ThrottlingException"), awsaccess.Throttled},
		{answer("ValidationException"), awsaccess.Other},
		{&smithy.GenericAPIError{Code: "Unheard", Fault: smithy.FaultServer}, awsaccess.Unreachable},
		{context.DeadlineExceeded, awsaccess.Unreachable},
		{errors.New("else"), awsaccess.Other},
		{&aws.RequestCanceledError{Err: context.DeadlineExceeded}, awsaccess.Unreachable},
	} {
		if got := awsaccess.CauseOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

// TestExplain: a right is named as AWS names it, and otherwise as the caller does.
func TestExplain(t *testing.T) {
	parameter := awsaccess.Right{Actions: []string{"ssm:GetParameter"}, Resource: "the parameter a", Also: "and its key"}
	for _, c := range []struct {
		name, code, said, want string
	}{
		{"AWS is silent", "AccessDenied", "", "grant ssm:GetParameter on the parameter a (and its key)"},
		{"in its words", "AccessDeniedException", "is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:eu-west-1:111122223333:parameter/a because", "grant ssm:GetParameters on arn:aws:ssm:eu-west-1:111122223333:parameter/a (and its key)"},
		{"without the resource", "AccessDeniedException", "is not authorized to perform: ssm:GetParameters", "grant ssm:GetParameters on the parameter a (and its key)"},
		{"of another service", "AccessDeniedException", "is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:111122223333:key/1 because", "grant kms:Decrypt on arn:aws:kms:eu-west-1:111122223333:key/1)"},
		{"of another service, at something", "AccessDeniedException", "is not authorized to perform: kms:Decrypt", "grant ssm:GetParameter on the parameter a (and its key)"},
		{"credentials", "ExpiredTokenException", "", "AWS_PROFILE"},
		{"too much", "ThrottlingException", "", "higher quota of ssm:GetParameter"},
	} {
		cause := &smithy.GenericAPIError{Code: c.code, Message: c.said}
		err := awsaccess.Explain(cause, parameter)
		var right *awsaccess.RightError
		if !strings.Contains(err.Error(), c.want) || !errors.Is(err, cause) || errors.As(err, &right) != strings.HasPrefix(c.want, "grant ") {
			t.Errorf("%s: %v\nwant %q", c.name, err, c.want)
		}
	}
	cause := &smithy.GenericAPIError{Code: "ParameterNotFound"}
	if err := awsaccess.Explain(cause, parameter); err != error(cause) {
		t.Errorf("an answer of the service's own: %v", err)
	}
}
