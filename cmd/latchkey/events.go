package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

type eventsCmd struct {
	Kind    string        `help:"Only events of this kind: login, refresh, logout, user.added, …" placeholder:"KIND"`
	Outcome string        `help:"Only events that ended so: ok, wrong_password, limited, reused, …" placeholder:"OUTCOME"`
	User    string        `help:"Only events of this user: username, e-mail address or id." placeholder:"USER"`
	Since   time.Duration `help:"Only events of the last so many hours or minutes." placeholder:"DURATION"`
	Follow  bool          `short:"f" help:"Wait for new events and show them too."`
	JSON    bool          `help:"Print one JSON object per line."`
	dataFlags
}

// Validate refuses filters that nothing can pass: a typing error would look like
// an empty trail.
func (c *eventsCmd) Validate() error {
	var since error
	if c.Since < 0 {
		since = fmt.Errorf("--since %s: must not be negative", c.Since)
	}
	return errors.Join(
		since,
		oneOf("--kind", auth.EventKind(c.Kind), auth.EventKinds()),
		oneOf("--outcome", auth.Outcome(c.Outcome), auth.Outcomes()),
	)
}

func oneOf[T ~string](flag string, value T, all []T) error {
	if value == "" || slices.Contains(all, value) {
		return nil
	}
	return fmt.Errorf("%s %q: must be one of %s", flag, value, strings.Join(texts(all), ", "))
}

func texts[T ~string](all []T) []string {
	s := make([]string, len(all))
	for i, one := range all {
		s[i] = string(one)
	}
	return s
}

// eventView is an event as machines see it.
type eventView struct {
	Number    int64          `json:"number"`
	Time      time.Time      `json:"time"`
	Kind      auth.EventKind `json:"kind"`
	Outcome   auth.Outcome   `json:"outcome"`
	UserID    auth.UserID    `json:"user_id,omitempty"`
	SessionID auth.SessionID `json:"session_id,omitempty"`
	RequestID string         `json:"request_id,omitempty"`
	Address   string         `json:"address,omitempty"`
	Device    string         `json:"device,omitempty"`
}

const (
	eventsPage   = 500
	followPeriod = time.Second
)

func (c *eventsCmd) Run(ctx context.Context, p *process) error {
	s, err := c.open(ctx, false, maxTokenTTL, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	if c.User != "" {
		if c.User, err = userID(ctx, s.Store, c.User); err != nil {
			return err
		}
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(t, "TIME\tKIND\tOUTCOME\tUSER\tADDRESS\tDEVICE")
	}
	var last int64
	for {
		page, err := s.Events(ctx, last, eventsPage)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, e := range page {
			last = e.Number
			if err := c.show(p, t, e); err != nil {
				return err
			}
		}
		if len(page) == eventsPage {
			continue
		}
		if err := t.Flush(); err != nil || !c.Follow {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPeriod):
		}
	}
}

// userID finds the id of a user, who may have been deleted.
func userID(ctx context.Context, store auth.Store, user string) (string, error) {
	u, err := auth.FindUser(ctx, store, user)
	if errors.Is(err, auth.ErrNotFound) {
		u, err = store.User(ctx, auth.UserID(user))
	}
	if errors.Is(err, auth.ErrNotFound) {
		u.ID = auth.UserID(user)
		var deleted bool
		if deleted, err = store.UserDeleted(ctx, u.ID); err == nil && !deleted {
			err = auth.ErrNotFound
		}
	}
	return string(u.ID), explainUser(err)
}

func (c *eventsCmd) show(p *process, t *tabwriter.Writer, e auth.Event) error {
	switch {
	case c.Kind != "" && c.Kind != string(e.Kind),
		c.Outcome != "" && c.Outcome != string(e.Outcome),
		c.User != "" && c.User != string(e.UserID),
		c.Since > 0 && time.Since(e.Time) > c.Since:
		return nil
	}
	if c.JSON {
		return printLine(p.stdout, eventView{e.Number, e.Time.UTC(), e.Kind, e.Outcome, e.UserID, e.SessionID, e.RequestID, e.Address, e.Device})
	}
	_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.UTC().Format(time.RFC3339), e.Kind, e.Outcome, e.UserID, e.Address, printable(e.Device))
	return err
}
