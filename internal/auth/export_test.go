package auth

import "context"

// Turns are turns.
type Turns struct{ turns turns }

// Take takes the turn at a user.
func (t *Turns) Take(ctx context.Context, id UserID, by string) (done func(), err error) {
	return t.turns.take(ctx, id, by)
}

// Users is at how many users somebody has the turn or waits for it.
func (t *Turns) Users() int { return len(t.turns.users) }

// Repeats are repeats.
type Repeats struct{ repeats repeats }

// Add returns how many events are to be written now.
func (r *Repeats) Add(key string, e Event) int { return len(r.repeats.add(key, e)) }

// Keys is how many keys are remembered.
func (r *Repeats) Keys() int { return len(r.repeats.byKey) }
