package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/revocation"
)

// ended is a Source of one's own. It lists all that ever ended, so its pages leave Since
// at zero.
type ended []revocation.Revocation

func (e ended) Revocations(context.Context, string) (revocation.Page, error) {
	return revocation.Page{Revocations: e}, nil
}

func (e ended) Ended(_ context.Context, c latchkey.Claims) (bool, error) {
	return slices.ContainsFunc(e, func(r revocation.Revocation) bool { return r.SessionID == revocation.SessionOf(c) }), nil
}

// A token that has ended is refused as an invalid one is. Any other error means that
// nobody can tell: answer 503, and let nobody in.
func ExampleFollower_Check() {
	source := ended{{UserID: "u-42", SessionID: "lost-phone", ExpiresAt: time.Now().Add(time.Hour)}}
	revocations, err := revocation.New(revocation.Config{Source: source})
	if err != nil {
		log.Fatal(err)
	}
	for _, session := range []string{"laptop", "lost-phone"} {
		claims := latchkey.Claims{Subject: "u-42", SessionID: session, IssuedAt: time.Now()} // of a verified token
		err := revocations.Check(context.Background(), claims)
		switch {
		case errors.Is(err, latchkey.ErrInvalidToken):
			fmt.Println(session, 401, err)
		case err != nil:
			fmt.Println(session, 503, err)
		default:
			fmt.Println(session, 200)
		}
	}
	// Output:
	// laptop 200
	// lost-phone 401 invalid token: revoked: its session, or what its user was allowed, has ended
}
