package mailer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/outbox"
)

const (
	sesTimeout = 20 * time.Second
	sesAttempt = 8 * time.Second // so that there is time for a second one
)

// SESConfig is what an SES needs.
type SESConfig struct {
	AWS       aws.Config    // from awsaccess.Load; required
	Region    string        // see ParseSESURL; required
	From      string        // sender: "mail@example.com" or "Example <mail@example.com>"; required
	Templates *Templates    // required
	Timeout   time.Duration // for one delivery, all attempts together; 0: 20 s
	Now       func() time.Time
}

// An SES hands messages to Amazon SES (API v2). It may be used from several goroutines.
type SES struct {
	composer
	client    *awsaccess.Client
	templates *Templates
	timeout   time.Duration
}

var _ message.Mailer = (*SES)(nil)

// NewSES checks the configuration. It does not connect: SES that cannot be reached must not
// keep the service from starting.
func NewSES(cfg SESConfig) (*SES, error) {
	if cfg.Templates == nil {
		return nil, errors.New("mail: templates must be set")
	}
	from, err := parseSender(cfg.From)
	if err != nil {
		return nil, err
	}
	client, err := awsaccess.NewClient(cfg.AWS, cfg.Region, sesAttempt)
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &SES{
		composer: composer{from, cfg.Now}, client: client,
		templates: cfg.Templates, timeout: cmp.Or(cfg.Timeout, sesTimeout),
	}, nil
}

var regionName = lazily(`^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

// IsSESURL reports whether the text is meant to be one.
func IsSESURL(text string) bool { return strings.HasPrefix(text, "ses:") }

// ParseSESURL reads the region of "ses://eu-west-1". Credentials have no place in it: they
// are those of the process.
func ParseSESURL(text string) (region string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ses" || !regionName.MatchString(u.Host) || text != "ses://"+u.Host {
		return "", errors.New("must be ses:// and a region of AWS, ses://eu-west-1, and nothing else: the credentials are those of the process")
	}
	return u.Host, nil
}

// Send implements message.Mailer. SES takes mail for any address that can be one, and tells of
// those that do not exist later, by mail to the sender or as events: no answer is
// outbox.ErrUndeliverable. A refusal of every message is outbox.ErrServer. No
// error shows an address, the link, or the code.
func (s *SES) Send(ctx context.Context, m message.Message) error {
	if !isAddress(m.To) {
		return fmt.Errorf("%w: the recipient's address is not valid", outbox.ErrUndeliverable)
	}
	rendered, err := s.templates.Render(m)
	if err != nil {
		return err
	}
	r := newRedactor(m)
	var raw bytes.Buffer
	msg, err := s.compose(rendered)
	if err == nil {
		_, err = msg.WriteTo(&raw)
	}
	if err != nil {
		return fmt.Errorf("composing mail %s: %s", m.Kind, r.clean(err.Error()))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no end within %s: %w", s.timeout, context.DeadlineExceeded))
	defer cancel()
	err = s.client.Do(ctx, awsaccess.SESv2, "/v2/email/outbound-emails", sesRequest(s.from.Address, m.To, raw.Bytes()), &struct{}{})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: SES in %s: %w", outbox.ErrServer, s.client.Region(), context.Cause(ctx))
	}
	return s.explain(err, r)
}

// sesRequest is that of the operation SendEmail, for a message that we have composed.
func sesRequest(from, to string, raw []byte) any {
	type object map[string]any
	return object{
		"FromEmailAddress": from,
		"Destination":      object{"ToAddresses": []string{to}},
		"Content":          object{"Raw": object{"Data": raw}},
	}
}

// explain says what an error is about, without secrets.
func (s *SES) explain(err error, r redactor) error {
	text := err.Error()
	var answer smithy.APIError
	if errors.As(err, &answer) {
		text = answer.ErrorCode() + ": " + answer.ErrorMessage()
	}
	hint, ofAll := s.hint(err)
	explained := fmt.Errorf("SES in %s: %s%s", s.client.Region(), r.clean(text), hint)
	if ofAll {
		return fmt.Errorf("%w: %w", outbox.ErrServer, explained)
	}
	return explained
}

// hint says what to do, and whether SES refuses every message.
func (s *SES) hint(err error) (hint string, ofAll bool) {
	domain := s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:]
	switch cause := awsaccess.CauseOf(err); {
	case cause == awsaccess.Denied:
		right := awsaccess.Right{Actions: []string{"ses:SendEmail", "ses:SendRawEmail"}, Resource: "the sender's identity, arn:aws:ses:" + s.client.Region() + ":ACCOUNT:identity/" + domain}
		hint = right.String()
	case cause == awsaccess.NoCredentials:
		hint = "the process has no valid credentials of AWS: give it a role"
	case cause == awsaccess.Throttled:
		hint = "SES takes fewer messages a second than this; ask for a higher sending quota if it goes on"
	case cause == awsaccess.Unreachable:
		hint = "SES does not answer: look at the network, and whether " + s.client.Region() + " has SES"
	default:
		hint, ofAll = s.refusal(awsaccess.Code(err))
		if hint == "" {
			return "", ofAll
		}
		return " (hint: " + hint + ")", ofAll
	}
	return " (hint: " + hint + ")", true
}

// refusal explains the answers that SES has of its own.
func (s *SES) refusal(code string) (hint string, ofAll bool) {
	switch code {
	case "AccountSuspendedException", "SendingPausedException":
		return "see the account's status in the console of SES", true
	case "MailFromDomainNotVerifiedException":
		return "the custom MAIL FROM domain of the identity lacks its MX record", true
	case "LimitExceededException":
		return "the sending quota of the day is spent; ask for a higher one", true
	case "NotFoundException":
		return "the identity's default configuration set does not exist", true
	case "MessageRejected":
		// Of the sender, or, in the sandbox, of the recipient.
		return "verify the domain of --mail-from in SES in " + s.client.Region() + "; in the sandbox SES takes mail for verified recipients only", false
	}
	return "", false
}
