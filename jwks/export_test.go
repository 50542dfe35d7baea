package jwks

import (
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/http1"
)

func Freshness(h http1.Header, most time.Duration) time.Duration { return freshness(h, most) }

func IsPublic(a netip.Addr) bool { return isPublic(a) }

func ParseDiscovery(doc string) (issuer, uri string, err error) { return parseDiscovery(doc) }

func Elapsed(since, now time.Time) time.Duration { return elapsed(since, now) }

// The bounds of freshness.
const MinFresh = minFresh
