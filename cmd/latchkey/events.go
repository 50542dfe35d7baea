package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
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
		oneOf("--kind", storage.EventKind(c.Kind), storage.EventKinds()),
		oneOf("--outcome", storage.Outcome(c.Outcome), storage.Outcomes()),
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
	ID        string            `json:"id"`
	Time      time.Time         `json:"time"`
	Kind      storage.EventKind `json:"kind"`
	Outcome   storage.Outcome   `json:"outcome"`
	UserID    storage.UserID    `json:"user_id,omitempty"`
	User      string            `json:"user,omitempty"` // what the user is called now
	SessionID storage.SessionID `json:"session_id,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Address   string            `json:"address,omitempty"`
	Device    string            `json:"device,omitempty"`
	Count     int64             `json:"count"` // attempts that it stands for
}

const (
	eventsPage   = 500
	followPeriod = time.Second
)

func (c *eventsCmd) Run(ctx context.Context, p *process) error {
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	if c.User != "" {
		if c.User, err = userID(ctx, s.Store, c.User); err != nil {
			return err
		}
	}
	t := p.newTable(eventsColumns)
	names := userNames{store: s.Store, known: make(map[storage.UserID]string)}
	trail := newTrailReader(s.Store, c.Since)
	for {
		page, err := trail.next(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, e := range page {
			if !c.wants(e) {
				continue
			}
			if err := c.show(ctx, p, t, names, e); err != nil {
				return err
			}
		}
		if len(page) > 0 {
			continue
		}
		if !c.JSON {
			if err := t.flush(); err != nil {
				return err
			}
		}
		if !c.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPeriod):
		}
	}
}

// A trailReader reads the audit trail by time, each event once. A commit may arrive late:
// at the end of the trail it reads the last minutes again.
type trailReader struct {
	store storage.Store
	since time.Time
	after storage.Cursor
	seen  map[string]time.Time // of the last minutes
}

const trailOverlap = 3 * time.Minute

func newTrailReader(store storage.Store, last time.Duration) *trailReader {
	r := &trailReader{store: store, seen: make(map[string]time.Time)}
	if last > 0 {
		r.since = time.Now().Add(-last)
	}
	return r
}

// next returns the next events, and none at the end of the trail.
func (r *trailReader) next(ctx context.Context) ([]storage.Event, error) {
	for {
		page, next, err := r.store.Events(ctx, r.since, r.after, eventsPage)
		if err != nil || len(page) == 0 {
			r.again(time.Now().Add(-trailOverlap))
			return nil, err
		}
		r.after = next
		if page = r.unseen(page); len(page) > 0 {
			return page, nil
		}
	}
}

func (r *trailReader) unseen(page []storage.Event) []storage.Event {
	return slices.DeleteFunc(page, func(e storage.Event) bool {
		_, seen := r.seen[e.ID]
		if time.Since(e.Time) < 2*trailOverlap {
			r.seen[e.ID] = e.Time
		}
		return seen
	})
}

// again begins anew at the moment, and forgets what lies well before it.
func (r *trailReader) again(from time.Time) {
	r.after = ""
	if from.After(r.since) {
		r.since = from
	}
	maps.DeleteFunc(r.seen, func(_ string, at time.Time) bool { return from.Sub(at) > 2*trailOverlap })
}

// eventsColumns: on a narrow terminal the device goes first, then the id, which the
// name stands beside. --json has everything.
var eventsColumns = []column{{title: "TIME"}, {title: "KIND"}, {title: "OUTCOME"}, {title: "USER", yields: 2}, {title: "NAME", min: 12},
	{title: "ADDRESS", min: 9, yields: 1}, {title: "DEVICE", min: 8, yields: 3}}

// userID finds the id of a user, who may have been deleted.
func userID(ctx context.Context, store storage.Store, user string) (string, error) {
	u, err := storage.NamedUser(ctx, store, user)
	if errors.Is(err, storage.ErrNotFound) {
		u.ID = storage.UserID(user)
		var deleted bool
		if deleted, err = store.UserDeleted(ctx, u.ID); err == nil && !deleted {
			err = storage.ErrNotFound
		}
	}
	return string(u.ID), explainUser(err)
}

// userNames remembers what users are called: an event has the id alone.
type userNames struct {
	store storage.Store
	known map[storage.UserID]string
}

// of is empty for nobody, and for a user who has been deleted.
func (n userNames) of(ctx context.Context, id storage.UserID) (string, error) {
	if name, ok := n.known[id]; ok || id == "" {
		return name, nil
	}
	u, err := n.store.User(ctx, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", err
	}
	n.known[id] = label(u)
	return n.known[id], nil
}

func (c *eventsCmd) wants(e storage.Event) bool {
	return (c.Kind == "" || c.Kind == string(e.Kind)) &&
		(c.Outcome == "" || c.Outcome == string(e.Outcome)) &&
		(c.User == "" || c.User == string(e.UserID)) &&
		(c.Since == 0 || time.Since(e.Time) <= c.Since)
}

func (c *eventsCmd) show(ctx context.Context, p *process, t *table, names userNames, e storage.Event) error {
	name, err := names.of(ctx, e.UserID)
	if err != nil {
		return err
	}
	if c.JSON {
		return printLine(p.stdout, eventView{e.ID, e.Time.UTC(), e.Kind, e.Outcome, e.UserID, name, e.SessionID, e.RequestID, e.Address, e.Device, e.Count})
	}
	if t.width > 0 { // where the column with the id may be left out
		name = cmp.Or(name, string(e.UserID))
	}
	outcome := string(e.Outcome)
	if e.Count > 1 {
		outcome += " (" + thousands(int(e.Count)) + " times)"
	}
	t.add(e.Time.UTC().Format(time.RFC3339), string(e.Kind), outcome, string(e.UserID), name, e.Address, printable(e.Device))
	return nil
}
