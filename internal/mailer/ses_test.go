package mailer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/latchkey-auth/latchkey/internal/awstest"
	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// sendEmail is the request of SES's operation SendEmail.
type sendEmail struct {
	FromEmailAddress string
	Destination      struct{ ToAddresses []string }
	Content          struct {
		Raw struct{ Data []byte }
	}
}

func newSES(t *testing.T, cfg aws.Config, timeout time.Duration) *mailer.SES {
	t.Helper()
	templates, err := mailer.NewTemplates("Example", "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := mailer.NewSES(mailer.SESConfig{AWS: cfg, Region: "eu-central-1", From: "Exämple <mail@example.com>", Templates: templates, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var sesMessage = message.Message{
	ID: "m1", Kind: message.Reset, To: "ada@example.org", Link: "https://auth.example.com/reset?token=abcdefghijklmnop", Code: "ABCD-EFGH",
	LinkFor: time.Hour, CodeFor: 10 * time.Minute, Device: "curl/8", Address: "192.0.2.7",
}

func TestSESSends(t *testing.T) {
	endpoint := awstest.New(t, func(awstest.Call) (any, error) { return map[string]string{"MessageId": "0102-1"}, nil })
	if err := newSES(t, endpoint.Config(), 0).Send(t.Context(), sesMessage); err != nil {
		t.Fatal(err)
	}
	calls := endpoint.Calls()
	if len(calls) != 1 || calls[0].Service != "ses" || calls[0].Region != "eu-central-1" || calls[0].Operation != "POST /v2/email/outbound-emails" {
		t.Fatalf("called %v", endpoint.Operations())
	}
	var got sendEmail
	if err := calls[0].Read(&got); err != nil {
		t.Fatal(err)
	}
	if got.FromEmailAddress != "mail@example.com" || len(got.Destination.ToAddresses) != 1 || got.Destination.ToAddresses[0] != "ada@example.org" {
		t.Errorf("from %s to %s", got.FromEmailAddress, got.Destination.ToAddresses)
	}
	m, err := mail.ReadMessage(bytes.NewReader(got.Content.Raw.Data))
	if err != nil {
		t.Fatal(err)
	}
	from, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("From"))
	if err != nil || !strings.Contains(from, "Exämple") || !strings.Contains(from, "<mail@example.com>") {
		t.Errorf("From %q, %v", from, err)
	}
	if m.Header.Get("To") != "<ada@example.org>" || m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("header %v", m.Header)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil || !bytes.Contains(body, []byte("ABCD-EFGH")) {
		t.Errorf("the body lacks the code: %v", err)
	}
}

// TestSESRefusals: which answers are of every message, and what is said of them. None is
// final: SES takes mail to addresses that do not exist.
func TestSESRefusals(t *testing.T) {
	for _, c := range []struct {
		status        int
		code, message string
		ofAll         bool
		says          string
		tries         int
	}{
		{429, "TooManyRequestsException", "Maximum sending rate exceeded.", true, "higher sending quota", 3},
		{400, "LimitExceededException", "Daily message quota exceeded.", true, "quota of the day", 3},
		{400, "AccountSuspendedException", "Account is suspended.", true, "the account's status", 1},
		{400, "SendingPausedException", "Sending is paused.", true, "the account's status", 1},
		{400, "MailFromDomainNotVerifiedException", "not verified", true, "MX record", 1},
		{403, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/a/b is not authorized to perform: ses:SendRawEmail", true,
			"grant ses:SendEmail and ses:SendRawEmail on the sender's identity, arn:aws:ses:eu-central-1:ACCOUNT:identity/example.com", 1},
		{403, "ExpiredTokenException", "The security token included in the request is expired", true, "credentials", 1},
		{500, "InternalServiceErrorException", "", true, "does not answer", 3},
		{404, "NotFoundException", "Configuration set <a> does not exist.", true, "configuration set", 1},
		{400, "MessageRejected", "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: ada@example.org", false, "in the sandbox", 1},
		{400, "BadRequestException", "Local address contains control or whitespace: ada ABCD-EFGH", false, "BadRequestException", 1},
	} {
		t.Run(c.code, func(t *testing.T) {
			endpoint := awstest.New(t, func(awstest.Call) (any, error) {
				return nil, &awstest.Error{Status: c.status, Code: c.code, Message: c.message}
			})
			err := newSES(t, endpoint.Config(), 0).Send(t.Context(), sesMessage)
			if err == nil || errors.Is(err, outbox.ErrUndeliverable) || errors.Is(err, outbox.ErrServer) != c.ofAll || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v; want %q, of every message: %t", err, c.says, c.ofAll)
			}
			for _, secret := range []string{"ada@", "ABCD-EFGH", "abcdefghijklmnop"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %q: %v", secret, err)
				}
			}
			if n := len(endpoint.Calls()); n != c.tries {
				t.Errorf("%d requests, want %d", n, c.tries)
			}
		})
	}
}

func TestSESRefusesWhatIsNoAddress(t *testing.T) {
	endpoint := awstest.New(t, func(awstest.Call) (any, error) { return nil, nil })
	m := sesMessage
	m.To = "ada@example.org, eve@example.org"
	if err := newSES(t, endpoint.Config(), 0).Send(t.Context(), m); !errors.Is(err, outbox.ErrUndeliverable) || len(endpoint.Calls()) != 0 {
		t.Errorf("error %v, %d requests", err, len(endpoint.Calls()))
	}
}

func TestSESThatHangs(t *testing.T) {
	endpoint := awstest.New(t, func(awstest.Call) (any, error) { return nil, nil })
	err := newSES(t, endpoint.Config(), 50*time.Millisecond).Send(t.Context(), sesMessage)
	if !errors.Is(err, outbox.ErrServer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestSESURLs(t *testing.T) {
	for _, region := range []string{"eu-west-1", "us-gov-east-1", "ap-southeast-5", "cn-north-1", "eusc-de-east-1"} {
		if got, err := mailer.ParseSESURL("ses://" + region); err != nil || got != region {
			t.Errorf("%s: %q, %v", region, got, err)
		}
	}
	for _, text := range []string{"", "ses:", "ses://", "ses://key:secret@eu-west-1", "ses://eu-west-1/", "ses://eu-west-1:443", "ses://eu-west-1?a=b", "ses://EU-WEST-1",
		"ses://email.eu-west-1.amazonaws.com", "ses:eu-west-1", "smtp://eu-west-1", "ses://eu-west-1#", "ses://" + strings.Repeat("a", 1000)} {
		if got, err := mailer.ParseSESURL(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func FuzzParseSESURL(f *testing.F) {
	f.Add("ses://eu-west-1")
	f.Add("ses://u:p@eu-west-1?x")
	f.Fuzz(func(t *testing.T, text string) {
		if region, err := mailer.ParseSESURL(text); err == nil && text != "ses://"+region {
			t.Errorf("%q: %q", text, region)
		}
	})
}
