package masterkey_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/awstest"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/masterkey"
)

const (
	kmsKey    = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	parameter = "/latchkey/master-key"
	secret    = "latchkey/master-key"
)

func parse(t *testing.T, text string) masterkey.Source {
	t.Helper()
	s, err := masterkey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func same(a, b keyring.MasterKey) bool { return a.Encode() == b.Encode() }

func TestOpen(t *testing.T) {
	key := keyring.NewMasterKey()
	stored := &awstest.Secrets{KMSKeys: []string{kmsKey, "alias/latchkey"}}
	stored.SetSecret(secret, key.Encode())
	stored.SetSecret("arn:aws:secretsmanager:us-west-2:123456789012:secret:latchkey/master-key-AbCdEf", key.Encode()+"\n")
	stored.SetParameter(parameter, "SecureString", key.Encode())
	s := awstest.New(t, stored.Answer)
	c := masterkey.Client{AWS: s.Config()}
	sealed, err := c.Seal(t.Context(), kmsKey, key)
	if err != nil {
		t.Fatal(err)
	}
	aliased, err := c.Seal(t.Context(), "alias/latchkey", key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c2 := range []struct{ text, operation, region string }{
		{sealed.String(), "kms Decrypt", "us-west-2"},
		{aliased.String(), "kms Decrypt", awstest.Region},
		{"secretsmanager:" + secret, "secretsmanager GetSecretValue", awstest.Region},
		{"secretsmanager:arn:aws:secretsmanager:us-west-2:123456789012:secret:latchkey/master-key-AbCdEf", "secretsmanager GetSecretValue", "us-west-2"},
		{"ssm:" + parameter, "ssm GetParameter", awstest.Region},
		{"ssm:arn:aws:ssm:us-west-2:123456789012:parameter/latchkey/master-key", "ssm GetParameter", "us-west-2"},
	} {
		before := len(s.Calls())
		got, err := c.Open(t.Context(), parse(t, c2.text))
		if err != nil || !same(got, key) {
			t.Errorf("%s: %v", c2.text, err)
		}
		calls := s.Calls()[before:]
		if len(calls) != 1 || calls[0].Service+" "+calls[0].Operation != c2.operation || calls[0].Region != c2.region {
			t.Errorf("%s: called %v, want %s in %s", c2.text, calls, c2.operation, c2.region)
		}
	}
	if _, err := (masterkey.Client{AWS: aws.Config{}}).Open(t.Context(), parse(t, "ssm:"+parameter)); err == nil || !strings.Contains(err.Error(), "set AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
}

// What is sealed is bound to its key and to its purpose, and shows nothing.
func TestSealedIsBound(t *testing.T) {
	key := keyring.NewMasterKey()
	stored := &awstest.Secrets{KMSKeys: []string{"alias/a", "alias/b"}}
	s := awstest.New(t, stored.Answer)
	c := masterkey.Client{AWS: s.Config()}
	sealed, err := c.Seal(t.Context(), "alias/a", key)
	if err != nil {
		t.Fatal(err)
	}
	text := sealed.String()
	if strings.Contains(text, key.Encode()) {
		t.Error("the sealed text holds the key")
	}
	_, err = c.Open(t.Context(), parse(t, strings.Replace(text, "alias/a", "alias/b", 1)))
	if err == nil || !strings.Contains(err.Error(), "sealed by another key") {
		t.Errorf("by another key: %v", err)
	}
	s.Have(func(call awstest.Call) (any, error) {
		call.Body = []byte(strings.Replace(string(call.Body), "latchkey master key", "something else", 1))
		return stored.Answer(call)
	})
	if _, err := c.Open(t.Context(), sealed); err == nil || !strings.Contains(err.Error(), "for another purpose") {
		t.Errorf("for another purpose: %v", err)
	}
}

// TestErrorsSayWhatToDo: each by the answer that AWS gives.
func TestErrorsSayWhatToDo(t *testing.T) {
	const short = "c2hvcnQgc2VjcmV0IHRoYXQgaXMgbm8ga2V5"
	answering := func(e *awstest.Error) func(awstest.Call) (any, error) {
		return func(awstest.Call) (any, error) { return nil, e }
	}
	holding := func(kind, value string) func(awstest.Call) (any, error) {
		stored := &awstest.Secrets{}
		stored.SetSecret(secret, value)
		stored.SetParameter(parameter, kind, value)
		return stored.Answer
	}
	kms := "kms:alias/latchkey:AQICAHh0"
	for _, c := range []struct {
		name   string
		source string
		answer func(awstest.Call) (any, error)
		want   []string
		tries  int
	}{
		{"denied by KMS", kms, answering(awstest.Denied("kms:Decrypt", kmsKey)), []string{"grant kms:Decrypt on " + kmsKey}, 1},
		{"denied by KMS, which names no key", kms, answering(awstest.Denied("kms:Decrypt", "alias")), []string{"grant kms:Decrypt on the key alias/latchkey"}, 1},
		{"denied by KMS to the parameter store", "ssm:" + parameter, answering(awstest.Denied("kms:Decrypt", kmsKey)), []string{"grant kms:Decrypt on " + kmsKey}, 1},
		{"denied by Secrets Manager", "secretsmanager:" + secret, answering(awstest.Denied("secretsmanager:GetSecretValue", "arn")), []string{"grant secretsmanager:GetSecretValue on arn:aws:secretsmanager:REGION:ACCOUNT:secret:latchkey/master-key-*", "kms:Decrypt"}, 1},
		{"denied by the parameter store", "ssm:" + parameter, answering(awstest.Denied("ssm:GetParameter", "arn")), []string{"grant ssm:GetParameter on arn:aws:ssm:REGION:ACCOUNT:parameter/latchkey/master-key", "kms:Decrypt"}, 1},
		{"no key", kms, answering(&awstest.Error{Status: 400, Code: "NotFoundException", Message: "Alias is not found."}), []string{"KMS has no such key"}, 1},
		{"a disabled key", kms, answering(&awstest.Error{Status: 400, Code: "DisabledException", Message: "is disabled."}), []string{"enable it"}, 1},
		{"a key that signs", kms, answering(&awstest.Error{Status: 400, Code: "InvalidKeyUsageException"}), []string{"ENCRYPT_DECRYPT"}, 1},
		{"damaged", kms, answering(&awstest.Error{Status: 400, Code: "InvalidCiphertextException"}), []string{"is damaged"}, 1},
		{"no secret", "secretsmanager:" + secret, answering(&awstest.Error{Status: 400, Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret."}), []string{"there is no master key in secretsmanager:latchkey/master-key", "latchkey init"}, 1},
		{"no parameter", "ssm:" + parameter, answering(&awstest.Error{Status: 400, Code: "ParameterNotFound"}), []string{"there is no master key in ssm:/latchkey/master-key", "latchkey init"}, 1},
		{"a secret that waits for its deletion", "secretsmanager:" + secret, answering(&awstest.Error{Status: 400, Code: "InvalidRequestException", Message: "You can't perform this operation on the secret because it was marked for deletion."}), []string{"marked for deletion", "restore-secret"}, 1},
		{"throttled", "ssm:" + parameter, answering(awstest.Throttled()), []string{"Rate exceeded", "asked too often"}, 3},
		{"a fault of AWS", "ssm:" + parameter, answering(&awstest.Error{Status: 500, Code: "InternalServerError"}), []string{"does not answer"}, 3},
		{"wrong credentials", kms, answering(&awstest.Error{Status: 403, Code: "InvalidSignatureException", Message: "Signature expired"}), []string{"credentials"}, 1},
		{"a short secret", "secretsmanager:" + secret, holding("", short), []string{"what it holds is no master key", "32 bytes in base64"}, 1},
		{"a short parameter", "ssm:" + parameter, holding("SecureString", short), []string{"what it holds is no master key", "32 bytes in base64"}, 1},
		{"a parameter in clear", "ssm:" + parameter, holding("String", keyring.NewMasterKey().Encode()), []string{"stored in clear", "SecureString"}, 1},
		{"a short key from KMS", kms, func(awstest.Call) (any, error) { return map[string]any{"Plaintext": []byte(short)[:31]}, nil }, []string{"what it holds is no master key"}, 1},
		{"a secret of bytes", "secretsmanager:" + secret, func(awstest.Call) (any, error) { return map[string]any{"SecretBinary": []byte(short)}, nil }, []string{"must hold text"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := awstest.New(t, c.answer)
			_, err := masterkey.Client{AWS: s.Config()}.Open(t.Context(), parse(t, c.source))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), short[:12]) {
				t.Errorf("the error shows what is stored: %v", err)
			}
			if n := len(s.Calls()); n != c.tries {
				t.Errorf("%d requests, want %d", n, c.tries)
			}
		})
	}
}

// A service that does not answer delays a start, and not for ever.
func TestOpenEnds(t *testing.T) {
	s := awstest.New(t, func(awstest.Call) (any, error) { return nil, nil })
	began := time.Now()
	_, err := masterkey.Client{AWS: s.Config(), Patience: 100 * time.Millisecond}.Open(t.Context(), parse(t, "ssm:"+parameter))
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestNoCredentials(t *testing.T) {
	s := awstest.New(t, func(awstest.Call) (any, error) { return nil, nil })
	cfg := s.Config()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no role")
	})
	_, err := masterkey.Client{AWS: cfg}.Open(t.Context(), parse(t, "ssm:"+parameter))
	if err == nil || !strings.Contains(err.Error(), "give this process a role") || len(s.Calls()) != 0 {
		t.Errorf("error %v, %d requests", err, len(s.Calls()))
	}
}

// Any number of processes create the key at once: all get the same.
func TestCreateAgrees(t *testing.T) {
	for _, c := range []struct {
		name, source string
		prepare      func(*awstest.Secrets)
	}{
		{"no secret", "secretsmanager:" + secret, func(*awstest.Secrets) {}},
		{"a secret without a value", "secretsmanager:" + secret, func(s *awstest.Secrets) { s.SetSecret(secret, "") }},
		{"by its ARN", "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf", func(s *awstest.Secrets) {
			s.SetSecret("arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf", "")
		}},
		{"no parameter", "ssm:" + parameter, func(*awstest.Secrets) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stored := &awstest.Secrets{}
			c.prepare(stored)
			s := awstest.New(t, stored.Answer)
			source := parse(t, c.source)
			if _, err := (masterkey.Client{AWS: s.Config()}).Open(t.Context(), source); !errors.Is(err, masterkey.ErrMissing) {
				t.Fatalf("before: %v", err)
			}
			keys := make([]keyring.MasterKey, 20)
			var wg sync.WaitGroup
			for i := range keys {
				wg.Go(func() {
					var err error
					if keys[i], err = (masterkey.Client{AWS: s.Config()}).Create(t.Context(), source); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for _, key := range keys {
				if !same(key, keys[0]) {
					t.Fatal("they differ")
				}
			}
			if got, err := (masterkey.Client{AWS: s.Config()}).Open(t.Context(), source); err != nil || !same(got, keys[0]) {
				t.Errorf("what is stored is another: %v", err)
			}
			if kind, _ := stored.Parameter(parameter); source.Kind == masterkey.SSM && kind != "SecureString" {
				t.Errorf("stored as %q", kind)
			}
		})
	}
}

// What was just stored may be missing for a moment: it is not made a second time.
func TestCreateWaitsForWhatItStored(t *testing.T) {
	stored := &awstest.Secrets{}
	s := awstest.New(t, nil)
	var mu sync.Mutex
	reads := 0
	s.Have(func(c awstest.Call) (any, error) {
		if c.Operation == "GetParameter" {
			mu.Lock()
			defer mu.Unlock()
			if reads++; reads <= 2 {
				return nil, &awstest.Error{Status: 400, Code: "ParameterNotFound"}
			}
		}
		return stored.Answer(c)
	})
	key, err := masterkey.Client{AWS: s.Config()}.Create(t.Context(), parse(t, "ssm:"+parameter))
	if _, value := stored.Parameter(parameter); err != nil || value != key.Encode() {
		t.Errorf("error %v, or another key", err)
	}
	if got := s.Operations(); !slices.Equal(got, []string{"ssm PutParameter", "ssm GetParameter", "ssm GetParameter", "ssm GetParameter"}) {
		t.Errorf("called %v", got)
	}
}

func TestCreateIsRefused(t *testing.T) {
	denied := func(operation, action string) func(awstest.Call) (any, error) {
		stored := &awstest.Secrets{}
		return func(c awstest.Call) (any, error) {
			if c.Operation == operation {
				return nil, awstest.Denied(action, "arn")
			}
			return stored.Answer(c)
		}
	}
	for _, c := range []struct {
		source string
		answer func(awstest.Call) (any, error)
		want   string
	}{
		{"ssm:" + parameter, denied("PutParameter", "ssm:PutParameter"), "grant ssm:PutParameter on arn:aws:ssm:REGION:ACCOUNT:parameter/latchkey/master-key"},
		{"secretsmanager:" + secret, denied("PutSecretValue", "secretsmanager:PutSecretValue"), "grant secretsmanager:PutSecretValue on"},
		{"secretsmanager:" + secret, denied("CreateSecret", "secretsmanager:CreateSecret"), "grant secretsmanager:CreateSecret on"},
		{"secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf", denied("", ""), "give its name"},
		{"ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/a", denied("", ""), "give its name"},
		{"kms:alias/latchkey:AQICAHh0", denied("", ""), "kms stores no master key"},
	} {
		s := awstest.New(t, c.answer)
		_, err := masterkey.Client{AWS: s.Config()}.Create(t.Context(), parse(t, c.source))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.source, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"", "not a source"},
		{keyring.NewMasterKey().Encode(), "not a source"},
		{"file:/etc/master.key", "not a source"},
		{"KMS:alias/a:AQIC", "not a source"},
		{"kms:", "kms:KEY:CIPHERTEXT"},
		{"kms:alias/a", "kms:KEY:CIPHERTEXT"},
		{"kms:alias/a:", "kms:KEY:CIPHERTEXT"},
		{"kms:alias/a:AQI", "kms:KEY:CIPHERTEXT"},
		{"kms:alias/a:AQIC\n", "kms:KEY:CIPHERTEXT"},
		{"kms::AQIC", "followed by a name or an ARN"},
		{"kms:alias a:AQIC", "followed by a name or an ARN"},
		{"kms:alias/a:" + strings.Repeat("AQIC", 2049), "kms:KEY:CIPHERTEXT"},
		{"kms:arn:aws:kms::123456789012:key/a:AQIC", "names no region"},
		{"kms:" + strings.Repeat("a", 20_000), "too long"},
		{"ssm:", "followed by a name or an ARN"},
		{"ssm:a b", "followed by a name or an ARN"},
		{"ssm:arn:aws:secretsmanager:eu-west-1:1:secret:a", "followed by a name or an ARN"},
		{"ssm:arn:aws:ssm::1:parameter/a", "names no region"},
		{"secretsmanager:a:b", "followed by a name or an ARN"},
		{"secretsmanager:" + keyring.NewMasterKey().Encode(), "looks like a master key"},
		{"secretsmanager:" + strings.Repeat("a", 2049), "followed by a name or an ARN"},
	} {
		if s, err := masterkey.Parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60q: %v, %v; want %q", c.text, s, err, c.says)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"kms:alias/a:AQIC", "kms:" + kmsKey + ":AQICAHg=", "secretsmanager:" + secret, "ssm:" + parameter, "ssm:arn:aws:ssm:eu-west-1:1:parameter/a", "kms:arn:::::AQIC", "ssm:arn:"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := masterkey.Parse(text)
		if err != nil {
			return
		}
		if got := s.String(); got != text {
			t.Errorf("%q is written as %q", text, got)
		}
		if strings.ContainsAny(s.Name, " \r\n\t\"") || len(s.Name) > 2048 {
			t.Errorf("name %q", s.Name)
		}
	})
}

// TestStandardVariables: endpoint, region, credentials and attempts are those that the SDK's
// variables say.
func TestStandardVariables(t *testing.T) {
	s := awstest.New(t, func(awstest.Call) (any, error) { return nil, awstest.Throttled() })
	for _, setting := range s.Env() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_ENDPOINT_URL_SSM", s.URL)
	t.Setenv("AWS_REGION", "ap-south-1")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	cfg, err := awsaccess.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (masterkey.Client{AWS: cfg}).Open(t.Context(), parse(t, "ssm:"+parameter)); err == nil || !strings.Contains(err.Error(), "Rate exceeded") {
		t.Errorf("error %v", err)
	}
	if calls := s.Calls(); len(calls) != 1 || calls[0].Region != "ap-south-1" {
		t.Errorf("called %v, want once in ap-south-1", calls)
	}
}
