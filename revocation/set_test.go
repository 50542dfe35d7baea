package revocation_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/revocation"
)

// TestWhatEnds: which tokens a revocation ends, and which go on.
func TestWhatEnds(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	claims := func(session string, epoch, rights int64) latchkey.Claims {
		return latchkey.Claims{Subject: "u", SessionID: session, Epoch: epoch, Rights: rights, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	}
	old := func(issued time.Duration) latchkey.Claims {
		return latchkey.Claims{Subject: "u", Epoch: -1, Rights: -1, Legacy: true, IssuedAt: now.Add(issued), ExpiresAt: now.Add(time.Hour)}
	}
	session := revocation.Revocation{Time: now, UserID: "u", SessionID: "s"}
	user := revocation.Revocation{Time: now, UserID: "u", Epoch: 3, Rights: 1}
	others := revocation.Revocation{Time: now, UserID: "u", Epoch: 3, Rights: 1, Survivor: "s"}
	rights := revocation.Revocation{Time: now, UserID: "u", Epoch: 2, Rights: 2}
	for name, c := range map[string]struct {
		ended []revocation.Revocation
		token latchkey.Claims
		want  bool
	}{
		"nothing":                            {nil, claims("s", 0, 0), false},
		"its session":                        {[]revocation.Revocation{session}, claims("s", 9, 9), true},
		"another session":                    {[]revocation.Revocation{session}, claims("t", 0, 0), false},
		"the user":                           {[]revocation.Revocation{user}, claims("s", 2, 1), true},
		"the user, before a sign-in":         {[]revocation.Revocation{user}, claims("s", 3, 1), false},
		"another user":                       {[]revocation.Revocation{{Time: now, UserID: "v", Epoch: 9}}, claims("s", 2, 1), false},
		"the others, not the one that asked": {[]revocation.Revocation{others}, claims("s", 2, 1), false},
		"the others":                         {[]revocation.Revocation{others}, claims("t", 2, 1), true},
		"the others, before a sign-in":       {[]revocation.Revocation{others}, claims("t", 3, 1), false},
		"all, after the others":              {[]revocation.Revocation{others, {Time: now, UserID: "u", Epoch: 4, Rights: 1}}, claims("s", 3, 1), true},
		"rights that were taken":             {[]revocation.Revocation{rights}, claims("s", 2, 1), true},
		"rights that were taken before it was issued": {[]revocation.Revocation{rights}, claims("s", 2, 2), false},
		"rights, though it survived the others":       {[]revocation.Revocation{others, {Time: now, UserID: "u", Epoch: 3, Rights: 2}}, claims("s", 3, 1), true},
		"a clock that is behind decides nothing":      {[]revocation.Revocation{{Time: now.Add(-time.Hour), UserID: "u", Epoch: 3}}, claims("s", 2, 0), true},
		"a clock that is ahead decides nothing":       {[]revocation.Revocation{{Time: now.Add(time.Hour), UserID: "u", Epoch: 3}}, claims("s", 3, 0), false},
		"an old token, issued before":                 {[]revocation.Revocation{user}, old(-time.Second), true},
		"an old token, at the same time":              {[]revocation.Revocation{user}, old(0), true},
		"an old token, by a clock that is ahead":      {[]revocation.Revocation{user}, old(10 * time.Second), true},
		"an old token, issued after":                  {[]revocation.Revocation{user}, old(11 * time.Second), false},
		"an old token, by the others":                 {[]revocation.Revocation{others}, old(0), true},
		"an old token by itself":                      {[]revocation.Revocation{{Time: now, UserID: "u", SessionID: revocation.SessionOf(old(0))}}, old(0), true},
		"another old token by itself":                 {[]revocation.Revocation{{Time: now, UserID: "u", SessionID: revocation.SessionOf(old(0))}}, old(time.Second), false},
		"a token with session and without epoch":      {[]revocation.Revocation{others}, claims("s", -1, -1), false},
		"another with session and without epoch":      {[]revocation.Revocation{others}, claims("t", -1, -1), true},
	} {
		t.Run(name, func(t *testing.T) {
			l := &list{}
			l.add(c.ended...)
			check := wantAlive
			if c.want {
				check = wantEnded
			}
			check(t, "told once", follow(t, l), c.token)
			l.add(c.ended...)
			check(t, "told twice", follow(t, l), c.token)
		})
	}
}

// TestOrderDoesNotMatter: a feed that reorders, repeats and tells in pieces says the
// same as a naive reader of all of it.
func TestOrderDoesNotMatter(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	random := rand.New(rand.NewPCG(1, 2))
	sessions := []string{"", "a", "b", "c"}
	for round := range 300 {
		var all []revocation.Revocation
		for range 1 + random.IntN(8) {
			r := revocation.Revocation{Time: now.Add(time.Duration(random.IntN(60)) * time.Second), UserID: "u"}
			if random.IntN(4) == 0 {
				r.SessionID = sessions[1+random.IntN(3)]
			} else {
				r.Epoch, r.Rights, r.Survivor = int64(random.IntN(4)), int64(random.IntN(3)), sessions[random.IntN(4)]
			}
			all = append(all, r)
		}
		l := &list{pageSize: 1 + random.IntN(3)}
		for range 3 {
			for _, i := range random.Perm(len(all)) {
				l.add(all[i])
			}
		}
		f := follow(t, l)
		for _, session := range sessions[1:] {
			for epoch := int64(-1); epoch < 4; epoch++ {
				c := latchkey.Claims{Subject: "u", SessionID: session, Epoch: epoch, Rights: int64(random.IntN(3)), IssuedAt: now.Add(time.Duration(random.IntN(90)) * time.Second), ExpiresAt: now.Add(time.Hour)}
				check := wantAlive
				if naive(all, c) {
					check = wantEnded
				}
				check(t, fmt.Sprintf("round %d: %+v by %+v", round, c, all), f, c)
			}
		}
	}
}

func naive(all []revocation.Revocation, c latchkey.Claims) bool {
	for _, r := range all {
		switch {
		case r.SessionID != "":
			if r.SessionID == c.SessionID {
				return true
			}
		case r.Survivor == c.SessionID:
		case c.Epoch < 0:
			if !c.IssuedAt.After(r.Time.Add(10 * time.Second)) {
				return true
			}
		case c.Epoch < r.Epoch || c.Rights < r.Rights:
			return true
		}
	}
	return false
}

// BenchmarkCheck: a decision from the verified-token cache, with 10,000 revocations.
func BenchmarkCheck(b *testing.B) {
	now := time.Now()
	l := &list{}
	for n := range 10_000 {
		r := revocation.Revocation{Time: now, UserID: fmt.Sprintf("user-%026d", n), Epoch: 1, ExpiresAt: now.Add(24 * time.Hour)}
		if n%2 == 0 {
			r.SessionID = fmt.Sprintf("%026d", n)
		}
		l.add(r)
	}
	f, err := revocation.New(revocation.Config{Source: l})
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([]latchkey.Claims, 1000)
	for n := range tokens {
		tokens[n] = latchkey.Claims{Subject: fmt.Sprintf("user-%026d", n), SessionID: fmt.Sprintf("x%025d", n), Epoch: 1, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	}
	n := 0
	for b.Loop() {
		if err := f.Check(b.Context(), tokens[n%len(tokens)]); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
