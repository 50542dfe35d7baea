package sqlstore_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// postgresCosts measures each operation on a database of its own, at the wire.
func postgresCosts(t *testing.T) map[string]cost {
	t.Helper()
	return costsAtWire(t, pgtest.Database(t))
}

func costsAtWire(t *testing.T, database string) map[string]cost {
	t.Helper()
	tally := new(postgresTally)
	w := newWatchedWire(t, database, tally.watch)
	all := costs(t, w.url, tally)
	for _, problem := range tally.problems {
		t.Error(problem)
	}
	return all
}

// TestPoolerCostsNoRoundTrip: behind a pooler each transaction sets its time-outs by one
// statement more, and no operation takes another round trip.
func TestPoolerCostsNoRoundTrip(t *testing.T) {
	direct, pooled := postgresCosts(t), costsAtWire(t, pgtest.Pooled(t, pgtest.Database(t)))
	for _, operation := range operations {
		want, got := direct[operation], pooled[operation]
		want.statements += want.transactions
		want.bytes, got.bytes = 0, 0 // statements are sent whole
		if got != want {
			t.Errorf("%s: %+v behind a pooler, want %+v", operation, got, want)
		}
	}
}

// A postgresTally counts the messages of all connections.
type postgresTally struct {
	mu       sync.Mutex
	cost     cost
	problems []string
}

func (p *postgresTally) take() cost {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.cost
	p.cost = cost{}
	return c
}

// watch returns what counts the messages of a new connection.
func (p *postgresTally) watch() (sent, answered func([]byte)) {
	c := &watchedConn{tally: p, prepared: make(map[string]string)}
	toServer, fromServer := frames{begun: false}, frames{begun: true}
	see := func(f *frames, message func(kind byte, body []byte)) func([]byte) {
		return func(some []byte) {
			p.mu.Lock()
			defer p.mu.Unlock()
			f.add(some, message)
		}
	}
	return see(&toServer, c.sent), see(&fromServer, c.answered)
}

// frames cuts a stream into messages: a kind, a length that counts itself, a body. The
// first one of a client has no kind.
type frames struct {
	rest  []byte
	begun bool
}

func (f *frames) add(some []byte, message func(kind byte, body []byte)) {
	f.rest = append(f.rest, some...)
	for {
		at := 1
		if !f.begun {
			at = 0
		}
		if len(f.rest) < at+4 {
			return
		}
		end := at + int(binary.BigEndian.Uint32(f.rest[at:]))
		if len(f.rest) < end {
			return
		}
		if f.begun {
			message(f.rest[0], f.rest[at+4:end])
		}
		f.rest, f.begun = f.rest[end:], true
	}
}

// A watchedConn is a connection, with the statements that the server keeps for it.
type watchedConn struct {
	tally    *postgresTally
	prepared map[string]string // texts by their names
	bound    string            // text of what is executed next
	within   bool              // a transaction
	aside    bool              // what belongs to no operation: the keys of the service are read, or the server is asked whether it is there
	trip     cost              // since the server was ready last
}

// sent is a message to the server.
func (c *watchedConn) sent(kind byte, body []byte) {
	c.trip.bytes += len(body) + 5
	switch kind {
	case 'P':
		var m pgproto3.Parse
		if c.decoded(m.Decode(body)) {
			c.prepared[m.Name] = m.Query
		}
	case 'B':
		var m pgproto3.Bind
		if c.decoded(m.Decode(body)) {
			text, ok := c.prepared[m.PreparedStatement]
			if !ok {
				c.tally.problems = append(c.tally.problems, fmt.Sprintf("the statement %q is not known", m.PreparedStatement))
			}
			c.bound = text
		}
	case 'E':
		c.run(c.bound)
	case 'Q':
		c.run(strings.TrimSuffix(string(body), "\x00"))
	}
}

func (c *watchedConn) decoded(err error) bool {
	if err != nil {
		c.tally.problems = append(c.tally.problems, err.Error())
	}
	return err == nil
}

// run counts a statement.
func (c *watchedConn) run(text string) {
	verb, _, _ := strings.Cut(strings.ToLower(text), " ")
	switch {
	case verb == "begin":
		c.within = true
	case verb == "commit":
		c.within = false
		c.trip.transactions++
	case verb == "rollback":
		c.within = false
	case strings.Contains(text, readsKeys), text == "-- ping":
		c.aside = true
	case c.within:
		c.trip.statements++
	default:
		c.trip.reads++
	}
}

// answered is a message from the server. One that says it is ready ends what the client
// waits for.
func (c *watchedConn) answered(kind byte, body []byte) {
	c.trip.bytes += len(body) + 5
	if kind != 'Z' {
		return
	}
	if !c.aside {
		all := &c.tally.cost
		all.trips++
		all.reads += c.trip.reads
		all.transactions += c.trip.transactions
		all.statements += c.trip.statements
		all.bytes += c.trip.bytes
	}
	c.trip, c.aside = cost{}, false
}
