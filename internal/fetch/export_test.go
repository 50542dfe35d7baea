package fetch

import (
	"crypto/x509"
	"time"
)

// WithRoots has the client trust these certificates.
func (c *Client) WithRoots(roots *x509.CertPool) *Client {
	c.roots = roots
	return c
}

// Age makes the kept connections as old as they were so much later.
func (c *Client) Age(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.idle {
		k.idleSince = k.idleSince.Add(-by)
	}
}

// Idle is how many connections are kept.
func (c *Client) Idle() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle)
}
