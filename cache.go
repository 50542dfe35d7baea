package latchkey

import (
	"strings"
	"sync"
)

// entry is a verified token's claims, and the key and issuer that verified it.
type entry struct {
	claims Claims
	key    *Key
	issuer *issuer
}

// cache remembers verified tokens in two generations: when the young one is
// full it becomes the old one, and what was old is forgotten. Tokens in use
// move from old to young, so the busy ones stay, and it never holds more than
// its size (a size of one holds two).
type cache struct {
	half int

	mu         sync.Mutex // guards young and old
	young, old map[string]entry
}

func newCache(size int) *cache {
	return &cache{half: max(1, size/2), young: make(map[string]entry)}
}

func (c *cache) get(token string) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.young[token]; ok {
		return e, true
	}
	e, ok := c.old[token]
	if ok {
		c.add(token, e)
	}
	return e, ok
}

func (c *cache) put(token string, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(token, e)
}

// add needs c.mu held.
func (c *cache) add(token string, e entry) {
	if len(c.young) >= c.half {
		c.young, c.old = make(map[string]entry), c.young
	}
	c.young[strings.Clone(token)] = e // a token is often part of a larger buffer
}
