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
