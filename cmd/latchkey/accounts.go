package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/mailer"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/password/leaked"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// envSMTPURL holds a password, and so is no flag.
const envSMTPURL = "LATCHKEY_SMTP_URL"

// passwordFlags are what new passwords are held to.
type passwordFlags struct {
	MinPassword       int    `help:"Fewest characters of a new password: 8 to 64; NIST advises 15 where the password is all that is asked for (${default})." env:"LATCHKEY_MIN_PASSWORD" default:"8" placeholder:"N"`
	BreachedPasswords string `help:"Directory of breached passwords, as the Pwned Passwords downloader writes it: a file of SHA-1 suffixes for each prefix. Default: none." env:"LATCHKEY_BREACHED_PASSWORDS" type:"path" placeholder:"DIR"`
}

func (f passwordFlags) Validate() error {
	if f.MinPassword < password.MinLength || f.MinPassword > 64 {
		return fmt.Errorf("--min-password %d must be %d to 64", f.MinPassword, password.MinLength)
	}
	return nil
}

func (f passwordFlags) rules() (password.Rules, error) {
	rules := password.Rules{Min: f.MinPassword, Common: leaked.Common}
	if f.BreachedPasswords == "" {
		return rules, nil
	}
	folder, err := leaked.OpenFolder(f.BreachedPasswords)
	if err != nil {
		return rules, fmt.Errorf("--breached-passwords: %w", err)
	}
	rules.Breached = folder.Has
	return rules, nil
}

// accountFlags say who may have an account, and how mail gets to its owner.
type accountFlags struct {
	Registration    string        `help:"Who may create an account: open (anybody), invite (whom users invite names; refuses to start without mail) or closed (operators, by users add, import and invite). Default: closed; in offline and invoke open." env:"LATCHKEY_REGISTRATION" enum:"open,invite,closed," default:"" placeholder:"open|invite|closed"`
	VerifyEmail     bool          `help:"Let nobody log in before the e-mail address is confirmed (${default}); where no mail is sent there is no such confirmation. Without it, registering tells whether an address has an account." env:"LATCHKEY_VERIFY_EMAIL" default:"true" negatable:""`
	MailFrom        string        `help:"Sender of mail; required with LATCHKEY_SMTP_URL." env:"LATCHKEY_MAIL_FROM" placeholder:"\"Example <mail@example.com>\"" group:"Mail"`
	MailHelo        string        `help:"Name of this machine to the mail server (EHLO): a full host name, or an address in brackets. Default: the host's name where it has a dot, else the domain of the sender." env:"LATCHKEY_MAIL_HELO" placeholder:"NAME" group:"Mail"`
	MailTemplates   string        `help:"Directory of mail templates that take the place of the built-in ones." env:"LATCHKEY_MAIL_TEMPLATES" type:"path" placeholder:"DIR" group:"Mail"`
	SessionIdle     time.Duration `help:"A session ends when it is not refreshed for so long (${default})." env:"LATCHKEY_SESSION_IDLE" default:"720h" placeholder:"DURATION"`
	SessionLifetime time.Duration `help:"A session ends after so long in any case (${default})." env:"LATCHKEY_SESSION_LIFETIME" default:"2160h" placeholder:"DURATION"`
	EventRetention  time.Duration `help:"How long the audit trail is kept (${default})." env:"LATCHKEY_EVENT_RETENTION" default:"2160h" placeholder:"DURATION"`
	passwordFlags   `group:"Passwords"`
}

// maxLifetime bounds what is configured in hours: ten years.
const maxLifetime = 10 * 365 * 24 * time.Hour

func (f accountFlags) Validate() error {
	for _, d := range []struct {
		name       string
		value, min time.Duration
	}{{"session-idle", f.SessionIdle, time.Minute}, {"session-lifetime", f.SessionLifetime, time.Minute}, {"event-retention", f.EventRetention, time.Hour}} {
		if d.value < d.min || d.value > maxLifetime {
			return fmt.Errorf("--%s %s must be %s to %s", d.name, d.value, d.min, maxLifetime)
		}
	}
	if f.SessionIdle > f.SessionLifetime {
		return fmt.Errorf("--session-idle %s must not be above --session-lifetime %s", f.SessionIdle, f.SessionLifetime)
	}
	return f.passwordFlags.Validate()
}

// configure completes the service's configuration. forDemo is for what only this
// machine can reach: there, anybody may register, and mail goes to an inbox.
func (f accountFlags) configure(cfg *auth.Config, data string, forDemo bool, log *slog.Logger) (*mailer.Inbox, error) {
	rules, err := f.rules()
	if err != nil {
		return nil, err
	}
	cfg.Passwords = rules
	cfg.SessionIdle, cfg.SessionLifetime, cfg.EventRetention = f.SessionIdle, f.SessionLifetime, f.EventRetention
	cfg.Registration = auth.Registration(f.Registration)
	if forDemo {
		cfg.Registration = cmp.Or(cfg.Registration, auth.RegistrationOpen)
	}
	inbox, err := f.mail(cfg, data, forDemo)
	if err != nil {
		return nil, err
	}
	cfg.VerifyEmail = f.VerifyEmail && cfg.SendsMail // or else nobody could
	switch {
	case cfg.SendsMail:
	case cfg.Registration == auth.RegistrationOpen && f.VerifyEmail:
		return nil, usagef("--registration open needs mail, to confirm addresses: set %s and --mail-from, or do without by --no-verify-email", envSMTPURL)
	case cfg.Registration == auth.RegistrationInvite:
		return nil, usagef("--registration invite needs mail, to send the invitations: set %s and --mail-from", envSMTPURL)
	default:
		log.Warn("no mail is sent: recovery of passwords is off, and who has not confirmed an address may log in all the same; " + envSMTPURL + " turns it on")
	}
	return inbox, nil
}

// mail chooses how mail is delivered.
func (f accountFlags) mail(cfg *auth.Config, data string, forDemo bool) (*mailer.Inbox, error) {
	smtpURL := os.Getenv(envSMTPURL)
	if smtpURL == "" && !forDemo {
		if f.MailFrom != "" || f.MailTemplates != "" || f.MailHelo != "" {
			return nil, usagef("--mail-from, --mail-helo and --mail-templates are for mail, and none is sent without %s", envSMTPURL)
		}
		return nil, nil
	}
	templates, err := mailer.NewTemplates(serviceName(cfg.PublicURL), f.MailTemplates)
	if err != nil {
		return nil, fmt.Errorf("--mail-templates: %w", err)
	}
	cfg.SendsMail = true
	if smtpURL != "" {
		if f.MailFrom == "" {
			return nil, usagef("%s is set: say with --mail-from who sends the mail", envSMTPURL)
		}
		if _, err := mailer.ParseSMTPURL(smtpURL); err != nil {
			return nil, fmt.Errorf("%s: %w", envSMTPURL, err)
		}
		cfg.Mailer, err = mailer.NewSMTP(mailer.SMTPConfig{URL: smtpURL, From: f.MailFrom, Helo: f.MailHelo, Templates: templates})
		if err != nil {
			return nil, fmt.Errorf("--mail-from, --mail-helo: %w", err)
		}
		return nil, nil
	}
	dir := ""
	if data != sqlstore.Memory {
		dir = filepath.Join(data, "inbox")
	}
	inbox, err := mailer.NewInbox(dir, templates, nil)
	cfg.Mailer = inbox
	return inbox, err
}

// serviceName is what mails and pages call the service: by its own name, or the
// one that people call it by.
func serviceName(publicURL string) string {
	if name := os.Getenv(awslambda.EnvAppName); name != "" {
		return name
	}
	u, err := url.Parse(publicURL)
	if err != nil || !strings.Contains(u.Hostname(), ".") || net.ParseIP(u.Hostname()) != nil {
		return "latchkey"
	}
	return u.Hostname()
}

// inboxPages are what offline shows of the inbox. What was queued a moment ago
// is in it.
func (s *system) inboxPages() map[string]http.Handler {
	if s.inbox == nil {
		return nil
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.service.Deliver(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		s.inbox.ServeHTTP(w, r)
	})
	return map[string]http.Handler{"/inbox": h, "/inbox.json": h}
}

const (
	// purgeInterval is how often what has outlived its use is deleted.
	purgeInterval = time.Hour
	// mailInterval is how often mail is looked for that other processes have
	// queued, or that is to be tried again.
	mailInterval = 5 * time.Second
	// mailDelay bounds how long a mail waits for its delivery to begin.
	mailDelay = 500 * time.Millisecond
	// lastMail is what deliveries under way have when the process is told to end.
	lastMail = 5 * time.Second
)

// inBackground does regularly what no request waits for: it delivers mail and
// purges, at once for the first time. The function that it returns ends that and
// waits, so that the store can be closed.
func (s *system) inBackground(ctx context.Context, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		repeat(ctx, purgeInterval, nil, func() {
			if err := s.service.Purge(ctx); err != nil && ctx.Err() == nil {
				log.Warn("purging failed", slog.String("error", err.Error()))
			}
		})
	})
	if s.service.Mailer != nil {
		mails := newMailLog(log, time.Now)
		done.Go(func() {
			// A delivery under way outlives ctx for a moment: a mail that has gone out
			// must be noted, or it goes out again.
			delivering, abandon := context.WithCancel(context.WithoutCancel(ctx))
			defer abandon()
			context.AfterFunc(ctx, func() { time.AfterFunc(lastMail, abandon) })
			repeat(ctx, mailInterval, s.service.MailQueued(), func() {
				// Later, at an unforeseeable moment: the work of a delivery must not tell
				// whoever has asked for a mail that there is one.
				select {
				case <-ctx.Done():
				case <-time.After(rand.N(mailDelay)):
				}
				if err := s.service.Deliver(delivering); err != nil && ctx.Err() == nil {
					mails.report(err)
				}
			})
		})
	}
	return func() {
		cancel()
		done.Wait()
	}
}

// repeat does it now, at every signal, and after each interval, until ctx is done.
func repeat(ctx context.Context, interval time.Duration, signal <-chan struct{}, do func()) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-signal:
		case <-t.C:
		}
	}
}
