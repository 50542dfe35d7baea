package offline

import (
	"crypto/sha256"
	"time"
)

// MaxVerdicts is the bound of the cache.
const MaxVerdicts = maxVerdicts

// A PolicyCache is the cache, for tests to fill.
type PolicyCache struct{ c *policyCache }

func NewPolicyCache(ttl time.Duration) PolicyCache { return PolicyCache{newPolicyCache(ttl)} }

func (c PolicyCache) Put(token string, now time.Time) {
	c.c.put(cacheKey(sha256.Sum256([]byte(token))), &verdict{}, now)
}

func (c PolicyCache) Has(token string, now time.Time) bool {
	return c.c.get(cacheKey(sha256.Sum256([]byte(token))), now) != nil
}

func (c PolicyCache) Len() int { return len(c.c.m) }
