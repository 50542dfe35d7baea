package limit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
)

// memory are Counters that do what the port says, and nothing else.
type memory struct {
	// Latency is slept before and after each call: others get in between.
	Latency time.Duration
	// Fail is returned by all calls; nil: none fails.
	Fail error

	Reads, Takes, Settles atomic.Int64 // calls
	Keys                  atomic.Int64 // in all calls

	mu     sync.Mutex
	counts map[string]limit.Count
	marks  map[string]time.Time // when they expire
}

var _ limit.Counters = (*memory)(nil)

func (m *memory) Counts(ctx context.Context, keys []string, mark string) ([]limit.Count, time.Time, error) {
	m.Reads.Add(1)
	m.Keys.Add(int64(len(keys)))
	time.Sleep(m.Latency)
	defer time.Sleep(m.Latency)
	m.mu.Lock()
	defer m.mu.Unlock()
	var counts []limit.Count
	for _, key := range keys {
		counts = append(counts, m.counts[key])
	}
	return counts, m.marks[mark], m.Fail
}

func (m *memory) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	m.Takes.Add(1)
	m.Keys.Add(int64(len(takes)))
	time.Sleep(m.Latency)
	defer time.Sleep(m.Latency)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		return false, m.Fail
	}
	for _, t := range takes {
		c := m.counts[t.Key]
		switch t.Guard {
		case limit.GuardRoom:
			if c.Empty.After(t.Most) {
				return false, nil
			}
		case limit.GuardUnchanged:
			if !c.Empty.Equal(t.Was.Empty) || !c.Last.Equal(t.Was.Last) {
				return false, nil
			}
		}
	}
	for _, t := range takes {
		m.add(t, 1)
	}
	return true, nil
}

func (m *memory) add(t limit.Take, reserved int64) {
	if m.counts == nil {
		m.counts = make(map[string]limit.Count)
	}
	c := m.counts[t.Key]
	if t.At.After(c.Empty) {
		c.Empty = t.At
	}
	m.counts[t.Key] = limit.Count{Empty: c.Empty.Add(t.Fade), Last: t.At, Reserved: c.Reserved + reserved}
}

func (m *memory) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	m.Settles.Add(1)
	m.Keys.Add(int64(len(given) + len(kept) + len(counted)))
	time.Sleep(m.Latency)
	defer time.Sleep(m.Latency)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		return m.Fail
	}
	for _, t := range given {
		c := m.counts[t.Key]
		c.Empty = c.Empty.Add(-t.Fade)
		c.Reserved = max(0, c.Reserved-1)
		if c.Last.Equal(t.At) {
			c.Last = t.Was.Last
		}
		m.counts[t.Key] = c
	}
	for _, t := range kept {
		c := m.counts[t.Key]
		c.Reserved = max(0, c.Reserved-1)
		m.counts[t.Key] = c
	}
	for _, t := range counted {
		m.add(t, 0)
	}
	return nil
}

// count returns the count of a key.
func (m *memory) count(key string) limit.Count {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[key]
}
