package mailer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
)

// A stage is how far a delivery has come.
type stage string

const (
	stageConnect stage = "connecting"
	stageMail    stage = "MAIL FROM"
	stageRcpt    stage = "RCPT TO"
	stageData    stage = "DATA"
	stageContent stage = "content"
)

// A Refusal is what a mail server answered instead of taking a message.
type Refusal struct {
	Server string // host and port
	Stage  string // what was answered: "RCPT TO"
	Code   int    // RFC 5321 section 4.2
	Status string // RFC 3463, "5.1.1"; empty: none
	Text   string // the answer, without secrets
	// Final: the answer is about the recipient, and no later attempt can succeed.
	// Every other refusal is about us or passes: sender, login, host name, relaying,
	// policy, content. A wrong setting must not cost the mail that is queued.
	Final bool
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("mail server %s: %s: %d %s", r.Server, r.Stage, r.Code, r.Text)
	if hint := r.hint(); hint != "" {
		text += " (hint: " + hint + ")"
	}
	return text
}

// Some servers put the status at the end, as qmail does: "no mailbox here (#5.1.1)".
var statusCode = lazily(`^([245]\.[0-9]{1,3}\.[0-9]{1,3})\b|\(#([245]\.[0-9]{1,3}\.[0-9]{1,3})\)`)

// refusal reads an answer. The text is that of the answer without secrets.
func refusal(server SMTPServer, at stage, answer *textproto.Error, text string) *Refusal {
	r := &Refusal{Server: server.String(), Stage: string(at), Code: answer.Code, Text: text}
	if m := statusCode.compiled().FindStringSubmatch(answer.Msg); m != nil {
		r.Status = m[1] + m[2]
	}
	r.Final = r.aboutRecipient()
	return r
}

var (
	ofSender   = lazily(`(?i)\b(sender|mail from|return path)\b`)
	ofDomain   = lazily(`(?i)\b(spf|dkim|dmarc|not verified|unauthenticated)\b`)
	ofHelo     = lazily(`(?i)\b(helo|ehlo|fully[- ]qualified|hostname|host name|reverse dns|ptr|rdns)\b`)
	ofRelay    = lazily(`(?i)\b(relay|relaying|rcpthosts)\b`)
	ofTLS      = lazily(`(?i)\b(starttls|tls)\b`)
	noSuchUser = lazily(`(?i)\b(no such|unknown|does(n't| not) exist|not found|no mailbox|invalid (recipient|mailbox|user|address)|mailbox unavailable|user unavailable|not (a )?(valid|local))\b`)
	ofPolicy   = lazily(`(?i)\b(polic(y|ies)|spam|blocked|denied|rejected due|reputation|blacklist(ed)?|block ?list(ed)?|authenticat(e|ed|ion))\b`)
)

// aboutRecipient reports whether the answer is a refusal of the recipient for
// good: by status 5.1.x or 5.2.x, or, without a status, by words that say that
// there is no such mailbox. 5.1.7 and 5.1.8 are about the sender (RFC 3463 section
// 3.2), and some servers give the sender the status of a recipient.
func (r *Refusal) aboutRecipient() bool {
	if r.Code < 500 || r.Code == 530 || r.aboutLogin() || ofSender.MatchString(r.Text) {
		return false
	}
	switch stage(r.Stage) {
	case stageRcpt:
		if r.Status == "" {
			return (r.Code == 550 || r.Code == 551 || r.Code == 553) && noSuchUser.MatchString(r.Text) &&
				!ofPolicy.MatchString(r.Text) && !ofHelo.MatchString(r.Text) && !ofRelay.MatchString(r.Text)
		}
		return badAddress(r.Status) || strings.HasPrefix(r.Status, "5.2.")
	case stageData, stageContent: // servers that look at recipients late
		return badAddress(r.Status)
	}
	return false
}

func badAddress(status string) bool {
	return strings.HasPrefix(status, "5.1.") && status != "5.1.7" && status != "5.1.8"
}

// aboutLogin reports whether a refusal is one of our credentials (RFC 4954
// section 6).
func (r *Refusal) aboutLogin() bool {
	switch {
	case r.Code == 534, r.Code == 535, r.Code == 538, r.Status == "5.7.8", r.Status == "5.7.9":
		return true
	}
	return false
}

// hint says what the operator has to look at.
func (r *Refusal) hint() string {
	const login = "user and password in " + urlName
	switch {
	case r.Final:
		return ""
	case ofTLS.MatchString(r.Text) && (r.Code == 530 || r.Status == "5.7.10" || r.Status == "5.7.11"):
		return "the server wants TLS: leave starttls out of " + urlName + ", or use smtps://"
	case r.Code == 530:
		return "the server wants a login: put " + login
	case r.aboutLogin():
		return "check " + login
	case ofHelo.MatchString(r.Text), r.Stage == string(stageConnect) && (r.Code == 501 || r.Code == 504):
		return "set --mail-helo to a full host name under which this machine is known"
	case ofRelay.MatchString(r.Text):
		return "the server does not relay for us: put " + login + ", or have it let this machine relay"
	case r.Stage == string(stageMail) && r.Code >= 500, ofSender.MatchString(r.Text), ofDomain.MatchString(r.Text):
		return "check --mail-from: the server must accept this sender, and the sender's domain the server (SPF, DKIM)"
	case r.Code < 500:
		return "the server may take it later; if this goes on, ask who runs it"
	}
	return "the server does not refuse the recipient but us: check --mail-from, --mail-helo and " + login + ", or ask who runs it"
}

// hintOf says what to do about failures before the server has answered.
func hintOf(err error) string {
	var (
		unknown   x509.UnknownAuthorityError
		wrongName x509.HostnameError
	)
	switch {
	case errors.As(err, &unknown), errors.As(err, &wrongName):
		return " (hint: name the server in " + urlName + " as its certificate does, and let this machine trust who signed it)"
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		return " (hint: use smtps:// and port 465, or allow mail to travel in clear by ?starttls=optional)"
	}
	return ""
}
