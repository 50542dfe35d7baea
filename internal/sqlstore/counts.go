package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
)

// countsAtOnce is how many keys selectCounts takes: those of one attempt.
const countsAtOnce = 8

// Counts returns the counts of keys and when a mark expires.
func (s *Store) Counts(ctx context.Context, keys []string, mark string) (counts []limit.Count, expires time.Time, err error) {
	counts = make([]limit.Count, len(keys))
	for first := 0; first < max(1, len(keys)); first += countsAtOnce {
		last := min(first+countsAtOnce, len(keys))
		if err := s.someCounts(ctx, keys[first:last], mark, counts[first:last], &expires); err != nil {
			return nil, time.Time{}, unavailable(err)
		}
	}
	return counts, expires, nil
}

func (s *Store) someCounts(ctx context.Context, keys []string, mark string, counts []limit.Count, expires *time.Time) error {
	args := make([]any, countsAtOnce, countsAtOnce+1)
	for i := range args {
		args[i] = ""
		if len(keys) > 0 {
			args[i] = keys[min(i, len(keys)-1)]
		}
	}
	return s.stmts.counts.each(context.WithoutCancel(ctx), func(r row) error {
		var isMark int
		var key string
		var count limit.Count
		err := r.Scan(&isMark, &key, instant{&count.Empty}, instant{&count.Last}, &count.Reserved)
		if isMark == 1 {
			*expires = count.Empty
			return err
		}
		for i := range keys {
			if keys[i] == key {
				counts[i] = count
			}
		}
		return err
	}, append(args, mark)...)
}

// errGuard: a take whose guard does not hold. It is an outcome, and no fault.
var errGuard = errors.New("guard does not hold")

// Take takes from all buckets or from none.
func (s *Store) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	if len(takes) == 0 {
		return true, nil
	}
	takes = byKey(takes)
	c := newCommit(func(a *application) error {
		for _, t := range takes {
			if err := a.take(t); err != nil {
				return err
			}
		}
		return nil
	})
	c.refusable = true
	err := s.enqueue(ctx, c)
	if errors.Is(err, errGuard) {
		return false, nil
	}
	return err == nil, err
}

// byKey has all lock their rows in one order, so that nobody waits for each other.
func byKey(takes []limit.Take) []limit.Take {
	return slices.SortedStableFunc(slices.Values(takes), func(a, b limit.Take) int { return cmp.Compare(a.Key, b.Key) })
}

func (a *application) take(t limit.Take) error {
	fade := t.Fade.Microseconds()
	last, empty := micros(t.At), micros(t.At)+fade // of an empty bucket
	switch {
	case t.Guard == limit.GuardRoom:
		return a.one(a.stmts.takeRoom, errGuard, t.Key, empty, last, 1, fade, micros(t.Most))
	case t.Guard == limit.GuardUnchanged && t.Was.Empty.IsZero() && t.Was.Last.IsZero():
		return a.one(a.stmts.takeUnused, errGuard, t.Key, empty, last, 1, fade)
	case t.Guard == limit.GuardUnchanged:
		return a.one(a.stmts.takeUnchanged, errGuard, t.Key, empty, last, fade, micros(t.Was.Empty), micros(t.Was.Last))
	}
	return a.run(a.stmts.takeCount, t.Key, empty, last, 1, fade)
}

// Settle ends reservations, and counts what was not reserved.
func (s *Store) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	if len(given)+len(kept)+len(counted) == 0 {
		return nil
	}
	return s.enqueue(ctx, newCommit(func(a *application) error { return a.settle(given, kept, counted) }))
}

// settle goes by key, as byKey does.
func (a *application) settle(given, kept, counted []limit.Take) error {
	type step struct {
		key string
		run func() error
	}
	var steps []step
	for _, t := range given {
		steps = append(steps, step{t.Key, func() error {
			return a.run(a.stmts.giveBack, t.Key, t.Fade.Microseconds(), micros(t.At), micros(t.Was.Last), micros(t.Made()))
		}})
	}
	for _, t := range kept {
		steps = append(steps, step{t.Key, func() error { return a.run(a.stmts.keepTaken, t.Key) }})
	}
	for _, t := range counted {
		steps = append(steps, step{t.Key, func() error {
			fade := t.Fade.Microseconds()
			return a.run(a.stmts.takeCount, t.Key, micros(t.At)+fade, micros(t.At), 0, fade)
		}})
	}
	slices.SortStableFunc(steps, func(x, y step) int { return cmp.Compare(x.key, y.key) })
	for _, s := range steps {
		if err := s.run(); err != nil {
			return err
		}
	}
	return nil
}
