package awslambda_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
)

// TestAfter: the answer goes out first, and the next invocation is asked for when the work
// is done. It runs on the real loop.
func TestAfter(t *testing.T) {
	l := newLambda(t, invocation{event: []byte("one")}, invocation{event: []byte("fails")}, invocation{event: []byte("two")})
	var order []string // of the loop alone
	l.run(t, func(ctx context.Context, event []byte) ([]byte, error) {
		name := string(event)
		order = append(order, name+" begins")
		for _, n := range []string{"first", "second"} {
			if !awslambda.After(ctx, func(context.Context) {
				order = append(order, fmt.Sprintf("%s work of %s, %d answered", n, name, len(l.posts)))
			}) {
				t.Error("After returned false")
			}
		}
		if name == "fails" {
			return nil, errors.New("no")
		}
		return event, nil
	})
	want := []string{
		"one begins", "first work of one, 1 answered", "second work of one, 1 answered",
		"fails begins", "first work of fails, 2 answered", "second work of fails, 2 answered",
		"two begins", "first work of two, 3 answered", "second work of two, 3 answered",
	}
	if !slices.Equal(order, want) {
		t.Errorf("got  %q\nwant %q", order, want)
	}
}

// Work has a context of its own, which ends a second before the invocation's time does; when
// that is over already it is left.
func TestAfterEndsBeforeTheInvocation(t *testing.T) {
	soon := time.Now().Add(time.Minute)
	at := func(d time.Time) map[string]string {
		return map[string]string{"Lambda-Runtime-Deadline-Ms": fmt.Sprint(d.UnixMilli())}
	}
	l := newLambda(t, invocation{event: []byte("long"), header: at(soon)}, invocation{event: []byte("short"), header: at(time.Now().Add(500 * time.Millisecond))}, invocation{event: []byte("unknown")})
	var ends []string
	l.run(t, func(ctx context.Context, event []byte) ([]byte, error) {
		awslambda.After(ctx, func(work context.Context) {
			end, ok := work.Deadline()
			if work.Err() != nil || !ok || ctx.Err() == nil && string(event) != "unknown" {
				t.Errorf("%s: error %v, deadline %t, the call's context is %v", event, work.Err(), ok, ctx.Err())
			}
			if string(event) == "long" && !end.Equal(soon.Truncate(time.Millisecond).Add(-time.Second)) {
				t.Errorf("ends at %v, want a second before %v", end, soon)
			}
			ends = append(ends, string(event))
		})
		return event, nil
	})
	if want := []string{"long", "unknown"}; !slices.Equal(ends, want) {
		t.Errorf("done after %v, want %v", ends, want)
	}
}

func TestAfterOutsideOfAnInvocation(t *testing.T) {
	if awslambda.After(t.Context(), func(context.Context) { t.Error("called") }) {
		t.Error("After returned true")
	}
}

// A panic after the answer ends the process, as one before it does.
func TestAfterPanics(t *testing.T) {
	l := newLambda(t, invocation{event: []byte("one")}, invocation{event: []byte("two")})
	err := awslambda.Run(t.Context(), l.address(), 1, func(ctx context.Context, event []byte) ([]byte, error) {
		awslambda.After(ctx, func(context.Context) { panic("out of cheese") })
		return event, nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "after the answer: panic: out of cheese\n") {
		t.Errorf("Run returned %v", err)
	}
	if len(l.posts) != 1 || l.posts[0].body != "one" {
		t.Errorf("posted %v", l.posts)
	}
}
