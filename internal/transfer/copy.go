package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Config is what a copy needs.
type Config struct {
	From, To Store
	// FromName and ToName are what people call them, without secrets.
	FromName, ToName string
	// KeepEvents is how long events are kept: older ones are left out.
	KeepEvents time.Duration
	// KeepReadOnly leaves the source held, whichever way the copy ends: for moving to the
	// other store, and so that an interrupted copy goes on where it was. Otherwise the
	// source can be written to again when Copy returns.
	KeepReadOnly bool
	// Progress is told of what is under way, of how many records are done and about how
	// many there are; 0: not known. nil: nobody is.
	Progress func(doing string, done, of int64)
	// Now is time.Now when it is nil.
	Now func() time.Time
}

// A Report says what was copied.
type Report struct {
	Totals Totals
	// Resumed is how many of these an earlier run had copied.
	Resumed int64
}

var (
	// ErrTarget: the target has other data, or cannot be one.
	ErrTarget = errors.New("cannot copy into the store")
	// ErrSource: the source cannot be copied from now.
	ErrSource = errors.New("cannot copy from the store")
	// ErrDiffers: the stores differ after the copy.
	ErrDiffers = errors.New("the copy is not the same as the source")
)

// pageSize is how many records are copied at once.
const pageSize = 500

// A copying is a copy under way.
type copying struct {
	Config
	source, target Hold
}

// Copy copies everything that has not expired, and holds both stores meanwhile. When it
// fails the target stays held, for it is not whole. Another run with the same stores goes
// on where this one was if the source is still held for it, and begins anew otherwise.
func Copy(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, int64, int64) {}
	}
	c := &copying{Config: cfg}
	if err := c.begin(ctx); err != nil {
		return Report{}, err
	}
	report := Report{Resumed: c.target.Totals.Records()}
	err := c.run(ctx)
	report.Totals = c.target.Totals
	return report, errors.Join(err, c.end(ctx, err == nil))
}

// begin holds both stores: the target first, so that no source is held for nothing.
func (c *copying) begin(ctx context.Context) (err error) {
	if c.source, err = c.From.Hold(ctx); err != nil {
		return fmt.Errorf("looking at %s: %w", c.FromName, err)
	}
	if c.target, err = c.To.Hold(ctx); err != nil {
		return fmt.Errorf("looking at %s: %w", c.ToName, err)
	}
	switch {
	case c.source.Role == Target:
		return fmt.Errorf("%w %s: %s", ErrSource, c.FromName, c.source)
	case c.target.Role == Source:
		return fmt.Errorf("%w %s: %s", ErrTarget, c.ToName, c.target)
	case c.source.ID != "" && c.source.ID != c.target.ID:
		return fmt.Errorf("%w %s: %s", ErrSource, c.FromName, c.source)
	case c.source.ID != "":
		return nil // goes on
	}
	if c.target.ID == "" {
		if err := c.checkEmpty(ctx); err != nil {
			return err
		}
	}
	return c.holdBoth(ctx)
}

// checkEmpty refuses a store in which there is something.
func (c *copying) checkEmpty(ctx context.Context) error {
	for after := storage.Cursor(""); ; {
		page, next, err := c.To.Export(ctx, after, pageSize)
		if err != nil {
			return fmt.Errorf("looking into %s: %w", c.ToName, err)
		}
		if len(page) > 0 {
			return fmt.Errorf("%w %s: it has data of its own (%s); name an empty one", ErrTarget, c.ToName, KindOf(page[0]))
		}
		if after = next; after == "" {
			return nil
		}
	}
}

// holdBoth begins a copy. What an earlier one has left in the target is erased: the
// source may have been written to since.
func (c *copying) holdBoth(ctx context.Context) error {
	now, before := c.Now().UTC().Truncate(time.Microsecond), c.target.ID
	c.source = Hold{ID: rand.Text(), Role: Source, Peer: c.ToName, Since: now}
	c.target = Hold{ID: c.source.ID, Role: Target, Peer: c.FromName, Since: now, Totals: Totals{},
		Leave: storage.Moments{Expired: now, Events: now.Add(-c.KeepEvents)}}
	if err := c.To.PutHold(ctx, before, c.target); err != nil {
		return fmt.Errorf("holding %s: %w", c.ToName, err)
	}
	if before != "" {
		c.Progress("erasing what an earlier copy has left", 0, 0)
		if err := c.To.Erase(ctx); err != nil {
			return fmt.Errorf("erasing what an earlier copy has left in %s: %w", c.ToName, err)
		}
	}
	if err := c.From.PutHold(ctx, "", c.source); err != nil {
		return fmt.Errorf("holding %s: %w", c.FromName, err)
	}
	return nil
}

func (c *copying) run(ctx context.Context) error {
	if err := c.await(ctx); err != nil {
		return err
	}
	if err := c.copy(ctx); err != nil {
		return err
	}
	return c.verify(ctx)
}

// await waits until every process has noticed that it must not write to the source, and
// until what was begun before has ended.
func (c *copying) await(ctx context.Context) error {
	b := c.From.Bounds()
	c.Progress(fmt.Sprintf("waiting %s until nobody writes any more", b.Look+b.Write), 0, 0)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(b.Look + b.Write):
		return nil
	}
}

// copy goes on from the cursor. What is copied twice because the cursor could not be
// stored counts once: it is stored with the totals.
func (c *copying) copy(ctx context.Context) error {
	of, err := c.From.Size(ctx)
	if err != nil {
		return fmt.Errorf("asking for the size of %s: %w", c.FromName, err)
	}
	for !c.target.All {
		c.Progress("copying", c.target.Totals.Records(), of)
		page, next, err := c.page(ctx, c.From, c.target.Cursor)
		if err != nil {
			return fmt.Errorf("reading %s: %w", c.FromName, err)
		}
		if err := c.To.Import(ctx, page); err != nil {
			return fmt.Errorf("writing to %s: %w", c.ToName, err)
		}
		for _, r := range page {
			c.target.Totals.Add(r)
		}
		c.target.Cursor, c.target.All = next, next == ""
		if err := c.To.PutHold(ctx, c.target.ID, c.target); err != nil {
			return fmt.Errorf("noting the progress in %s: %w", c.ToName, err)
		}
	}
	return nil
}

// page returns what has not expired.
func (c *copying) page(ctx context.Context, s Store, after storage.Cursor) ([]Record, storage.Cursor, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", context.Cause(ctx)
	}
	all, next, err := s.Export(ctx, after, pageSize)
	if err != nil {
		return nil, "", err
	}
	kept := all[:0]
	for _, r := range all {
		if !Expired(r, c.target.Leave) {
			kept = append(kept, r)
		}
	}
	return kept, next, nil
}

// verify reads both stores again. That of the source shows whether a process has written
// to it that had not noticed the hold.
func (c *copying) verify(ctx context.Context) error {
	of, done := 2*c.target.Totals.Records(), int64(0)
	for _, s := range []struct {
		Store
		name string
	}{{c.To, c.ToName}, {c.From, c.FromName}} {
		totals := Totals{}
		for after := storage.Cursor(""); ; {
			c.Progress("verifying", done+totals.Records(), of)
			page, next, err := c.page(ctx, s, after)
			if err != nil {
				return fmt.Errorf("reading %s: %w", s.name, err)
			}
			for _, r := range page {
				totals.Add(r)
			}
			if after = next; after == "" {
				break
			}
		}
		if d := c.target.Totals.Difference(totals); d != "" {
			return fmt.Errorf("%w: what was copied and what is in %s: %s", ErrDiffers, s.name, d)
		}
		done += totals.Records()
	}
	return nil
}

// end ends the hold on the source, unless it is kept, and then that on the target, if it
// is whole. It works also when ctx has ended.
func (c *copying) end(ctx context.Context, whole bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var next Hold
	if c.KeepReadOnly {
		next = c.source
		if whole {
			next.Moved = c.Now().UTC().Truncate(time.Second)
		}
	}
	if err := c.From.PutHold(ctx, c.source.ID, next); err != nil {
		return fmt.Errorf("%s may still be read-only; latchkey store open ends that: %w", c.FromName, err)
	}
	if !whole {
		return nil
	}
	if err := c.To.PutHold(ctx, c.target.ID, Hold{}); err != nil {
		return fmt.Errorf("%s is whole, but still held; run the copy again: %w", c.ToName, err)
	}
	return nil
}

// Open ends the hold on a source: it can be written to again, at the latest after
// Bounds.Look. ErrTarget: the store is no source, but holds part of a copy.
func Open(ctx context.Context, s Store) (Hold, error) {
	h, err := s.Hold(ctx)
	if err != nil || h.ID == "" {
		return h, err
	}
	if h.Role == Target {
		return h, fmt.Errorf("%w: %s", ErrTarget, h)
	}
	return h, s.PutHold(ctx, h.ID, Hold{})
}
