package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A batch is statements that are sent in one round trip.
type batch struct{ steps []step }

// A step is one of them.
type step struct {
	text string
	args []any
	none error // what it means when no row was touched or found; nil: nothing
}

func (b *batch) add(st *statement, none error, args []any) error {
	b.steps = append(b.steps, step{st.text, args, none})
	return nil
}

// A transaction is one under way. It begins with the first batch.
type transaction struct {
	conn  *pgx.Conn
	begin []string // nil: it has begun
}

// apply carries out what f adds to the batch of its application: all of it, or nothing.
// Read committed is enough: each statement carries its guard, which PostgreSQL judges by
// the row as it is when it has the lock; and what is only checked is locked.
func (p *postgres) apply(stmts *statements, f func(*application) error) error {
	return p.transact(func(t *transaction) error {
		a := &application{stmts: stmts, batch: &batch{}}
		if err := f(a); err != nil {
			return err
		}
		_, err := t.send(a.batch)
		return err
	})
}

// inOneOrder has all commits lock their rows in one order, so that none wait for each
// other in a circle: users first, because sessions refer to them.
func inOneOrder(changes []storage.Change) []storage.Change {
	if len(changes) < 2 {
		return changes
	}
	place := func(c storage.Change) (rank int, key string) {
		switch c := c.(type) {
		case storage.CheckEpoch:
			return 0, string(c.UserID)
		case storage.CreateUser:
			return 0, string(c.User.ID)
		case storage.UpdateUser:
			return 0, string(c.Old.ID)
		case storage.DeleteUser:
			return 0, string(c.User.ID)
		case storage.ReplaceUser:
			return 0, string(c.Old.ID)
		}
		return 1, string(c.Items()[0])
	}
	return slices.SortedStableFunc(slices.Values(changes), func(a, b storage.Change) int {
		rank, key := place(a)
		otherRank, otherKey := place(b)
		return cmp.Or(cmp.Compare(rank, otherRank), cmp.Compare(key, otherKey))
	})
}

// transact repeats what was not carried out, for some time. It is not tied to any context:
// a client that hangs up must not decide halfway.
func (p *postgres) transact(f func(*transaction) error) error {
	return unavailable(patient(func() error {
		return p.with(func(conn *pgx.Conn) error {
			t := &transaction{conn, p.begin}
			if err := f(t); err != nil {
				return t.rollback(err)
			}
			return t.commit()
		})
	}))
}

// send carries out the batch, and returns how many rows each of its steps has touched.
// The first step that is refused decides.
func (t *transaction) send(b *batch) (rows []int64, err error) {
	if len(b.steps) == 0 {
		return nil, nil
	}
	var all pgx.Batch
	begin := t.begin
	t.begin = nil
	for _, text := range begin {
		all.Queue(text)
	}
	for _, step := range b.steps {
		all.Queue(step.text, step.args...)
	}
	results := t.conn.SendBatch(context.Background(), &all)
	defer results.Close()
	for range begin {
		if _, err := results.Exec(); err != nil {
			return nil, err
		}
	}
	for _, step := range b.steps {
		tag, err := results.Exec()
		if err == nil && tag.RowsAffected() == 0 {
			err = step.none
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, tag.RowsAffected())
	}
	return rows, results.Close()
}

// rollback returns err, for which it is done.
func (t *transaction) rollback(err error) error {
	if t.begin == nil && !t.conn.IsClosed() {
		_, _ = t.conn.Exec(context.Background(), `rollback`) // otherwise the pool drops the connection
	}
	return err
}

// errUnknown: the transaction was carried out or not, and nobody knows.
var errUnknown = errors.New("the answer to a commit was lost")

func (t *transaction) commit() error {
	if t.begin != nil {
		return nil // nothing was sent
	}
	tag, err := t.conn.Exec(context.Background(), `commit`)
	switch {
	case err == nil && tag.String() != "COMMIT":
		return fmt.Errorf("commit was answered by %s", tag)
	case err != nil && !refused(err):
		return fmt.Errorf("%w: %w: %w", storage.ErrUnavailable, errUnknown, err)
	}
	return err
}

// execute carries out one statement, and returns how many rows it has touched.
func (p *postgres) execute(text string, args ...any) (n int64, err error) {
	err = p.transact(func(t *transaction) error {
		rows, err := t.send(&batch{[]step{{text: text, args: args}}})
		if err == nil {
			n = rows[0]
		}
		return err
	})
	return n, err
}

// each calls f for every row, and begins again only where it has not.
func (p *postgres) each(text string, f func(row) error, args ...any) error {
	called := false
	err := patient(func() error {
		err := p.with(func(conn *pgx.Conn) error {
			rows, err := conn.Query(context.Background(), text, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				called = true
				if err := f(rows); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		if called && again(err) {
			return fmt.Errorf("%w: %w", storage.ErrUnavailable, errors.New(err.Error()))
		}
		return err
	})
	if isCode(err, notText) {
		return nil // what cannot be stored is not there
	}
	return err
}

// postgresRow is a query that Scan carries out.
type postgresRow struct {
	st   *statement
	args []any
}

func (r postgresRow) Scan(dest ...any) error {
	found := false
	err := r.st.postgres.each(r.st.text, func(r row) error {
		found = true
		return r.Scan(dest...)
	}, r.args...)
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// with calls f with a connection of the pool.
func (p *postgres) with(f func(*pgx.Conn) error) error {
	conn, err := p.acquire()
	if err != nil {
		return err
	}
	defer conn.Release()
	err = f(conn.Conn())
	if err != nil && conn.Conn().IsClosed() && !errors.Is(err, errUnknown) {
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	if isCode(err, readOnly) { // the server has become a standby: its address may lead to the next one
		_ = conn.Conn().Close(context.Background())
	}
	return err
}

func (p *postgres) acquire() (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), acquireWait)
	defer cancel()
	return p.pool.Acquire(ctx)
}

// patient begins again what was not carried out.
func patient(f func() error) error {
	until := time.Now().Add(repeatFor)
	for pause := 4 * time.Millisecond; ; pause = min(2*pause, 64*time.Millisecond) {
		err := f()
		if !again(err) || time.Now().After(until) {
			return err
		}
		time.Sleep(rand.N(pause))
	}
}

// stillFree has a user created only if nobody of that id was deleted while the insertion
// of its row has waited for that: it does not see what was committed meanwhile. SQLite has
// one writer.
func (a *application) stillFree(ids ...storage.UserID) error {
	if a.batch == nil {
		return nil
	}
	for _, id := range ids {
		if err := a.found(a.stmts.notDeleted, errAgain, string(id)); err != nil {
			return err
		}
	}
	return nil
}

// loadIntoPostgres inserts users in the order of their ids: loaders that have the same
// users wait for each other, and not in a circle.
func (s *Store) loadIntoPostgres(users []storage.LoadedUser) (stored []bool, err error) {
	order := make([]int, len(users))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(users[i].User.ID, users[j].User.ID) })
	err = s.postgres.transact(func(t *transaction) error {
		a := &application{stmts: &s.stmts, batch: &batch{}}
		for _, i := range order {
			args, err := profileArgs(users[i].User)
			if err != nil {
				return err
			}
			if err := a.run(s.stmts.insertUser, args...); err != nil {
				return err
			}
		}
		rows, err := t.send(a.batch)
		if err != nil {
			return err
		}
		stored = make([]bool, len(users))
		var created []storage.User
		var events []storage.Event
		var ids []storage.UserID
		for n, i := range order {
			if stored[i] = rows[n] > 0; stored[i] {
				created, events, ids = append(created, users[i].User), append(events, users[i].Event), append(ids, users[i].User.ID)
			}
		}
		a.batch = &batch{}
		if err := errors.Join(a.stillFree(ids...), a.insertSignIns(created), a.appendEvents(events)); err != nil {
			return err
		}
		_, err = t.send(a.batch)
		return err
	})
	return stored, err
}
