package auth

import "github.com/latchkey-auth/latchkey/internal/storage"

// Repeats are repeats.
type Repeats struct{ repeats repeats }

// Add returns how many events are to be written now.
func (r *Repeats) Add(key string, e storage.Event) int { return len(r.repeats.add(key, e)) }

// Keys is how many keys are remembered.
func (r *Repeats) Keys() int { return len(r.repeats.byKey) }

// ParseFeedPlace reads where a page of revocations begins, and writes it again.
func ParseFeedPlace(text string) (string, bool) {
	p, ok := parseFeedPlace(text)
	return p.String(), ok
}
