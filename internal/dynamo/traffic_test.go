package dynamo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A traffic makes requests of the service, as loads of partition keys: by the keys, the
// plans of commits and the items of the store itself.
type traffic struct {
	t       testing.TB
	store   *Store
	rand    *rand.Rand
	popular *rand.Zipf
	now     time.Time
	made    int // ids so far
	loads   map[string]load
}

const (
	manyUsers    = 10_000_000
	manyNetworks = 3_000_000
	processes    = 1000 // of the service; each reads the signing keys every 10 s
)

// A request is an operation of the service, and how many of 1,000 requests are it.
type request struct {
	name  string // in docs/operate.md
	share int
	do    func(*traffic, person)
}

var mix = []request{
	{"GET /me", 500, (*traffic).me},
	{"authorization, each token looked up", 100, (*traffic).lookUp},
	{"refresh", 250, (*traffic).refresh},
	{"login, known network", 80, (*traffic).login},
	{"login, new network", 15, (*traffic).newLogin},
	{"login, wrong password", 10, (*traffic).wrong},
	{"logout", 40, (*traffic).logout},
	{"registration: request, mail, confirmation", 5, (*traffic).register},
}

func newTraffic(t testing.TB, cfg Config) *traffic {
	t.Helper()
	cfg.Client, cfg.Table, cfg.KeepEvents = dynamodb.New(dynamodb.Options{}), "latchkey", 90*24*time.Hour
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	for _, f := range []feed{s.events, s.revocations} { // whose day has begun
		s.days.Store(f.dayKey(now.Format(time.DateOnly)), f.shards)
	}
	r := rand.New(rand.NewPCG(1, 2))
	return &traffic{t: t, store: s, rand: r, popular: rand.NewZipf(r, 1.1, 1, manyUsers-1), now: now, loads: make(map[string]load)}
}

// A person is a user with a session, at a network.
type person struct {
	user    storage.User
	session storage.Session
	network string
}

func (tr *traffic) id() string {
	tr.made++
	return fmt.Sprintf("%08x%018x", tr.rand.Uint32(), tr.made)
}

// person returns one of many: most of them as often as any other, one in ten by how
// popular they are. The first of those makes 1 % of all requests, as a machine may. Of
// networks it is the same.
func (tr *traffic) person() person {
	pick := func(of int) uint64 {
		if tr.rand.IntN(10) == 0 {
			return tr.popular.Uint64() % uint64(of)
		}
		return tr.rand.Uint64N(uint64(of))
	}
	n := pick(manyUsers)
	u := storage.User{
		ID: storage.UserID(fmt.Sprintf("%026x", n)), Username: fmt.Sprint("user", n), Email: fmt.Sprintf("user%d@example.com", n),
		PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g",
		Epoch:        1, Version: 1, SignInVersion: 1, CreatedAt: tr.now, UpdatedAt: tr.now,
	}
	s := storage.Session{
		ID: storage.SessionID(fmt.Sprintf("%024x-%d", n, tr.rand.IntN(3))), UserID: u.ID, Epoch: 1, Seed: make([]byte, 16), Device: "a browser on a system",
		Address: "192.0.2.1", CreatedAt: tr.now, LastUsedAt: tr.now, ExpiresAt: tr.now.Add(30 * 24 * time.Hour),
	}
	return person{u, s, fmt.Sprint(pick(manyNetworks))}
}

func (tr *traffic) add(partition string, read, write float64) {
	l := tr.loads[partition]
	tr.loads[partition] = load{l.read + read, l.write + write}
}

// reads are of one item each, or of one page of a list that is small.
func (tr *traffic) reads(partitions ...string) {
	for _, p := range partitions {
		tr.add(p, 1, 0)
	}
}

// commit is a transaction of the changes. It has read what they need, at a unit each.
func (tr *traffic) commit(changes ...storage.Change) {
	p := &plan{store: tr.store, ctx: context.Background(), read: make(map[key]item)}
	for _, change := range changes {
		switch c := change.(type) {
		case storage.EndSession:
			s := c.Session
			s.EndedAt = time.Time{}
			p.read[sessionKey(s.ID)] = sessionItem(s)
		case storage.DeferMail:
			due := c.Mail
			due.DueAt = tr.now
			p.read[mailKey(due.ID)] = mailItem(due)
		case storage.DeleteMail:
			p.read[mailKey(c.Mail.ID)] = mailItem(c.Mail)
		}
	}
	for at := range p.read {
		tr.reads(at.partition)
	}
	for _, change := range changes {
		if err := p.change(change); err != nil {
			tr.t.Fatal(err)
		}
	}
	if err := checkSizes(p.writes); err != nil {
		tr.t.Fatal(err)
	}
	for _, w := range p.writes {
		bytes := max(w.put.size(), newItem(w.at).size()+w.values.size())
		tr.add(w.at.partition, 0, float64(2*((bytes+1023)/1024)))
	}
}

// counts read buckets, take from those that are held, and settle them.
func (tr *traffic) counts(read, held, settled []string) {
	for _, name := range read {
		tr.reads(countKey(name).partition)
	}
	for _, name := range slices.Concat(held, settled) {
		tr.add(countKey(name).partition, 0, 1)
	}
}

func (tr *traffic) event(k storage.EventKind, p person) storage.Change {
	return storage.AppendEvent{Event: storage.Event{
		ID: tr.id(), Time: tr.now, Kind: k, Outcome: storage.OutcomeOK, UserID: p.user.ID, SessionID: p.session.ID, Address: "192.0.2.1", Device: "a browser on a system",
	}}
}

func (tr *traffic) byName(p person) {
	tr.reads(emailKey(p.user.Email).partition, userPartition(p.user.ID))
}

func (tr *traffic) me(p person) {
	tr.reads(sessionKey(p.session.ID).partition, userPartition(p.user.ID))
}

// lookUp is a BatchGetItem of the session and of the sign-in.
func (tr *traffic) lookUp(p person) { tr.me(p) }

func (tr *traffic) refresh(p person) {
	tr.me(p)
	p.session.Refreshes++
	tr.commit(storage.RefreshSession{Session: p.session}, storage.CheckEpoch{UserID: p.user.ID, Epoch: 1}, tr.event(storage.EventRefresh, p))
}

func (tr *traffic) mark(p person) storage.MarkID {
	return storage.MarkID(fmt.Sprint(p.user.ID, p.network))
}

func (tr *traffic) session(p person, more ...storage.Change) {
	p.session.ID = storage.SessionID(tr.id())
	tr.commit(append(more, storage.CheckEpoch{UserID: p.user.ID, Epoch: 1}, storage.CreateSession{Session: p.session}, tr.event(storage.EventLogin, p))...)
}

func (tr *traffic) login(p person) {
	read, home, _ := tr.attempt(p)
	tr.counts(read, home, home)
	tr.session(p)
}

// attempt looks a user up with the mark of the network, and returns the buckets of the
// login: those that are read, the alarm last, and those that hold it, from a known network
// and from another one.
func (tr *traffic) attempt(p person) (read, home, strangers []string) {
	tr.byName(p)
	tr.reads(markKey(tr.mark(p)).partition)
	home = []string{"home " + p.network + " " + string(p.user.ID)}
	strangers = []string{"account " + p.network + " " + string(p.user.ID), "address " + p.network, "total " + string(p.user.ID)}
	return slices.Concat(home, strangers, []string{"reserve " + string(p.user.ID), tr.part("alarm")}), home, strangers
}

// part is one of the counts of an alarm.
func (tr *traffic) part(alarm string) string {
	return alarm + "#" + strconv.Itoa(tr.rand.IntN(attempt.AlarmParts))
}

func (tr *traffic) newLogin(p person) {
	read, _, held := tr.attempt(p)
	tr.counts(read, held, held)
	tr.session(p, storage.PutMark{Mark: storage.Mark{ID: tr.mark(p), ExpiresAt: tr.now.Add(30 * 24 * time.Hour)}})
}

func (tr *traffic) wrong(p person) {
	read, _, held := tr.attempt(p)
	tr.counts(read, held, append(held, read[len(read)-1]))
	tr.reads(ticketKey(storage.TicketID("register " + p.user.Email)).partition)
	tr.commit(tr.event(storage.EventLogin, p))
}

func (tr *traffic) logout(p person) {
	tr.me(p)
	p.session.EndedAt = tr.now
	tr.commit(storage.EndSession{Session: p.session}, tr.event(storage.EventLogout, p), storage.AppendRevocation{Revocation: storage.Revocation{
		ID: tr.id(), Time: tr.now, ExpiresAt: tr.now.Add(time.Hour), UserID: p.user.ID, SessionID: p.session.ID,
	}})
}

func (tr *traffic) register(p person) {
	p.user.ID, p.user.Username, p.user.Email = storage.UserID(tr.id()), "user-"+tr.id(), tr.id()+"@example.com"
	held := []string{"mail to " + p.user.Email, "mail for " + p.network}
	alarm := tr.part("mail alarm")
	tr.counts(append(held, alarm), held, append(held, alarm))
	tr.byName(p)
	ticket := storage.Ticket{ID: storage.TicketID(tr.id()), Purpose: storage.PurposeRegister, Email: p.user.Email, SecretHash: make([]byte, 32), CodeMAC: make([]byte, 32), PasswordHash: p.user.PasswordHash, ExpiresAt: tr.now.Add(time.Hour)}
	mail := outbox.Mail{ID: tr.id(), Sealed: make([]byte, 600), CreatedAt: tr.now, DueAt: tr.now, GiveUpAt: tr.now.Add(time.Hour)}
	tr.reads(ticketKey(ticket.ID).partition)
	tr.commit(storage.PutTicket{Ticket: ticket}, storage.QueueMail{Mail: mail}, tr.event(storage.EventRegister, p))

	for n := range mailShards {
		tr.reads(mailShard(n))
	}
	tr.reads(mailKey(mail.ID).partition)
	mail.DueAt = tr.now.Add(time.Minute)
	tr.commit(storage.DeferMail{Mail: mail})
	tr.commit(storage.DeleteMail{Mail: mail}, tr.event(storage.EventMail, p))

	tr.reads(ticketKey(ticket.ID).partition, ticketKey(ticket.ID).partition)
	one := []string{"link " + string(ticket.ID)}
	tr.counts(one, one, one)
	tr.byName(p)
	tr.commit(storage.CreateUser{User: p.user}, storage.TakeTicket{Ticket: ticket}, storage.PutMark{Mark: storage.Mark{ID: tr.mark(p), ExpiresAt: tr.now}}, tr.event(storage.EventVerify, p))
}
