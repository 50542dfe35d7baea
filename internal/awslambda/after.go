package awslambda

import (
	"context"
	"sync"
	"time"
)

const (
	// afterMargin is what is left of an invocation's time when work after its answer must
	// have ended: a process that Lambda ends in the middle cannot note what it has done.
	afterMargin = time.Second
	// afterLimit bounds that work where Lambda tells no deadline.
	afterLimit = 10 * time.Second
)

type afterKey struct{}

// afterwards is what an invocation has yet to do.
type afterwards struct {
	mu   sync.Mutex // guards work
	work []func(context.Context)
}

// After has work done in the invocation that ctx is of, when its answer has been posted:
// the caller does not wait for it, and Lambda does not freeze the process before it asks
// for the next invocation. The context of work ends a moment before the invocation's time
// does. Outside of an invocation nothing is done, and After returns false.
func After(ctx context.Context, work func(context.Context)) bool {
	a, found := ctx.Value(afterKey{}).(*afterwards)
	if !found {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.work = append(a.work, work)
	return true
}

// do does what is left to do. Of an invocation whose time is over it does nothing.
func (a *afterwards) do(ctx context.Context, deadline time.Time) (err error) {
	a.mu.Lock()
	work := a.work
	a.mu.Unlock()
	if len(work) == 0 {
		return nil
	}
	end := time.Now().Add(afterLimit)
	if !deadline.IsZero() {
		end = deadline.Add(-afterMargin)
	}
	if !time.Now().Before(end) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	defer recovered(&err)
	for _, f := range work {
		f(ctx)
	}
	return nil
}
