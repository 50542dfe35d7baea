package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/leaked"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// PasswordRules are what new passwords are held to: their least length, and a
// directory of breached ones, which may be empty.
func PasswordRules(min int, breached string) (password.Rules, error) {
	rules := password.Rules{Min: min, Common: leaked.Common}
	if breached == "" {
		return rules, nil
	}
	folder, err := leaked.OpenFolder(breached)
	if err != nil {
		return rules, fmt.Errorf("--breached-passwords: %w", err)
	}
	rules.Breached = folder.Has
	return rules, nil
}

// accounts completes the service's configuration: who may have an account, and how
// mail gets to its owner.
func (c Config) accounts(cfg *auth.Config) (*mailer.Inbox, error) {
	rules, err := PasswordRules(c.MinPassword, c.BreachedPasswords)
	if err != nil {
		return nil, err
	}
	cfg.Passwords = rules
	cfg.SessionIdle, cfg.SessionLifetime, cfg.EventRetention = c.SessionIdle, c.SessionLifetime, c.EventRetention
	cfg.Registration = c.Registration
	if c.Kind == storage.LocalStore {
		cfg.Registration = cmp.Or(cfg.Registration, auth.RegistrationOpen)
	}
	inbox, err := c.mail(cfg)
	if err != nil {
		return nil, err
	}
	cfg.VerifyEmail = c.VerifyEmail && cfg.SendsMail // without mail no address can be proved
	switch {
	case cfg.SendsMail:
	case cfg.Registration == auth.RegistrationOpen && c.VerifyEmail:
		return nil, settingsErrorf("--registration open needs mail, to confirm addresses: set LATCHKEY_MAIL_URL and --mail-from, or do without by --no-verify-email")
	case cfg.Registration == auth.RegistrationInvite:
		return nil, settingsErrorf("--registration invite needs mail, to send the invitations: set LATCHKEY_MAIL_URL and --mail-from")
	default:
		c.Log.Warn("no mail is sent: recovery of passwords is off, and who has not confirmed an address may log in all the same; LATCHKEY_MAIL_URL turns it on")
	}
	return inbox, nil
}

// mail chooses how mail is delivered.
func (c Config) mail(cfg *auth.Config) (*mailer.Inbox, error) {
	address := string(c.MailURL)
	if address == "" && c.Kind != storage.LocalStore {
		if c.MailFrom != "" || c.MailTemplates != "" || c.MailHelo != "" {
			return nil, settingsErrorf("--mail-from, --mail-helo and --mail-templates are for mail, and none is sent without LATCHKEY_MAIL_URL")
		}
		return nil, nil
	}
	templates, err := mailer.NewTemplates(c.serviceName(cfg.PublicURL), c.MailTemplates)
	if err != nil {
		return nil, fmt.Errorf("--mail-templates: %w", err)
	}
	cfg.SendsMail = true
	if address != "" {
		cfg.Mailer, err = c.sender(address, templates)
		return nil, err
	}
	dir := ""
	if c.Data != Memory {
		dir = filepath.Join(c.Data, "inbox")
	}
	inbox, err := mailer.NewInbox(dir, templates, nil)
	cfg.Mailer = inbox
	return inbox, err
}

// sender is what takes mail.
func (c Config) sender(address string, templates *mailer.Templates) (message.Mailer, error) {
	if c.MailFrom == "" {
		return nil, settingsErrorf("LATCHKEY_MAIL_URL is set: say with --mail-from who sends the mail")
	}
	if mailer.IsSESURL(address) {
		return c.ses(address, templates)
	}
	if _, err := mailer.ParseSMTPURL(address); err != nil {
		return nil, fmt.Errorf("LATCHKEY_MAIL_URL: %w", err)
	}
	s, err := mailer.NewSMTP(mailer.SMTPConfig{URL: address, From: c.MailFrom, Helo: c.MailHelo, Templates: templates})
	if err != nil {
		return nil, fmt.Errorf("--mail-from, --mail-helo: %w", err)
	}
	return s, nil
}

func (c Config) ses(address string, templates *mailer.Templates) (message.Mailer, error) {
	region, err := mailer.ParseSESURL(address)
	if err != nil {
		return nil, fmt.Errorf("LATCHKEY_MAIL_URL: %w", err)
	}
	if c.MailHelo != "" {
		return nil, settingsErrorf("--mail-helo is for SMTP servers; SES is told no name")
	}
	cfg, err := awsaccess.Load(context.Background())
	if err != nil {
		return nil, err
	}
	s, err := mailer.NewSES(mailer.SESConfig{AWS: cfg, Region: region, From: c.MailFrom, Templates: templates})
	if err != nil {
		return nil, fmt.Errorf("--mail-from: %w", err)
	}
	return s, nil
}

// serviceName is what mails and pages call the service: by its own name, or the
// one that people call it by.
func (c Config) serviceName(publicURL string) string {
	if c.Name != "" {
		return c.Name
	}
	u, err := url.Parse(publicURL)
	if err != nil || !strings.Contains(u.Hostname(), ".") || net.ParseIP(u.Hostname()) != nil {
		return "latchkey"
	}
	return u.Hostname()
}

// InboxPages are what offline shows of the inbox. What was queued a moment ago
// is in it.
func (s *System) InboxPages() map[string]http.Handler {
	if s.Inbox == nil {
		return nil
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.Service.Deliver(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		s.Inbox.ServeHTTP(w, r)
	})
	return map[string]http.Handler{"/inbox": h, "/inbox.json": h}
}
