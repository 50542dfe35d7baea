package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// How long PostgreSQL may take. A request that ends in an outage has to be told within two
// seconds: a repetition that begins at the last moment and gets no answer is below that.
const (
	// lockTimeout also ends what is a deadlock: PostgreSQL itself looks for one after a
	// second.
	lockTimeout      = 600 * time.Millisecond
	statementTimeout = time.Second
	answerTimeout    = 1200 * time.Millisecond
	// repeatFor is how long what was not carried out is begun again.
	repeatFor = 700 * time.Millisecond
	// acquireWait is what is waited for a connection of the pool, with making a new one.
	acquireWait = 1500 * time.Millisecond
	// idleTimeout ends transactions whose process is gone without a word.
	idleTimeout = 5 * time.Second
)

// pingRows is over how many rows the pings of all processes spread.
const pingRows = 16

// A PostgresConfig says which database to open, and what for.
type PostgresConfig struct {
	// URL is postgres://USER@HOST:PORT/DATABASE. Its password may also be in PGPASSWORD or
	// a password file. See docs/postgresql.md for its parameters.
	URL string
	// Create has a database in which there is nothing of latchkey yet get its tables;
	// otherwise that is ErrNoDatabase. The database itself is never created.
	Create bool
	// Kind is what the database has to be for, an storage.KindError otherwise, and what a new one is
	// marked with. Empty: any, and a new one is for production.
	Kind storage.StoreKind
	// Log gets a line when a pooler stands before the database; nil: none.
	Log *slog.Logger
}

// postgres is a pool of connections to a database.
type postgres struct {
	pool  *pgxpool.Pool
	plain *sql.DB  // the same connections, for what opening shares with SQLite
	begin []string // what begins a transaction, sent with its first statements
}

// OpenPostgres opens a database on PostgreSQL and brings its schema up to date. Any number
// of processes may do so at once.
func OpenPostgres(ctx context.Context, cfg PostgresConfig) (*Store, error) {
	pc, err := parsePostgres(cfg.URL)
	if err != nil {
		return nil, err
	}
	s, err := openPostgres(ctx, cfg, pc)
	if err != nil {
		return nil, fmt.Errorf("opening store %s: %w", postgresName(pc), explainPostgres(pc, err))
	}
	return s, nil
}

func openPostgres(ctx context.Context, cfg PostgresConfig, pc *pgxpool.Config) (*Store, error) {
	pooler, err := beginPostgres(ctx, cfg, pc.ConnConfig)
	if err != nil {
		return nil, err
	}
	p := &postgres{begin: []string{`begin isolation level read committed read write`}}
	if pooler {
		p.begin = append(p.begin, pooled(pc))
		if cfg.Log != nil {
			cfg.Log.InfoContext(ctx, "a pooler stands before PostgreSQL: statements are not kept prepared", "store", postgresName(pc))
		}
	} else {
		direct(pc)
	}
	if p.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, err
	}
	p.plain = stdlib.OpenDBFromPool(p.pool)
	s := &Store{postgres: p}
	if err := errors.Join(p.pool.Ping(ctx), s.prepare(ctx)); err != nil {
		p.pool.Close()
		return nil, err
	}
	return s, nil
}

// beginPostgres looks at the database, and brings it up to date, over a connection of its
// own: migrations take their time. It reports whether that leads through a pooler.
func beginPostgres(ctx context.Context, cfg PostgresConfig, cc *pgx.ConnConfig) (pooler bool, err error) {
	db := openPlain(cc)
	defer db.Close()
	if pooler, err = lookAtPostgres(ctx, db); err != nil {
		return false, err
	}
	return pooler, migratePostgres(ctx, db, cfg)
}

// openPlain is one connection that prepares nothing and has no time-outs.
func openPlain(cc *pgx.ConnConfig) *sql.DB {
	cc = cc.Copy()
	cc.DefaultQueryExecMode = pgx.QueryExecModeExec
	if cc.ConnectTimeout == 0 || cc.ConnectTimeout > openTimeout {
		cc.ConnectTimeout = openTimeout
	}
	db := stdlib.OpenDB(*cc)
	db.SetMaxOpenConns(1)
	return db
}

// lookAtPostgres refuses a server on which commits would not be what they promise, and
// reports whether a pooler stands before it. Poolers tell their clients a process number
// of their own, with which to cancel queries.
func lookAtPostgres(ctx context.Context, db *sql.DB) (pooler bool, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	var pid uint32
	var encoding, sync string
	var standby bool
	const facts = `SELECT pg_backend_pid(), current_setting('server_encoding'), current_setting('synchronous_commit'), pg_is_in_recovery()`
	if err := conn.QueryRowContext(ctx, facts).Scan(&pid, &encoding, &sync, &standby); err != nil {
		return false, err
	}
	switch {
	case encoding != "UTF8":
		return false, fmt.Errorf("the encoding of the database is %s: create one with ENCODING 'UTF8' TEMPLATE template0", encoding)
	case sync == "off":
		return false, errors.New("synchronous_commit is off, so that a crash takes back what was acknowledged: ALTER ROLE … SET synchronous_commit = on")
	case standby:
		return false, errors.New("the server is a standby, which can only be read: name the primary, or all of them with target_session_attrs=read-write")
	}
	err = conn.Raw(func(driver any) error {
		pooler = driver.(*stdlib.Conn).Conn().PgConn().PID() != pid
		return nil
	})
	return pooler, err
}

// direct has the server keep statements prepared, and bound every one of them.
func direct(pc *pgxpool.Config) {
	params := pc.ConnConfig.RuntimeParams
	params["lock_timeout"] = milliseconds(lockTimeout)
	params["statement_timeout"] = milliseconds(statementTimeout)
	params["idle_in_transaction_session_timeout"] = milliseconds(idleTimeout)
}

// pooled is for connections that change with every transaction, and for poolers that take
// no settings at the beginning. It returns the statement that bounds a transaction.
// Statements are described once, and sent whole each time, unless the URL says that the
// pooler keeps them apart.
func pooled(pc *pgxpool.Config) (bounds string) {
	if !given(pc, "default_query_exec_mode") {
		pc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return fmt.Sprintf(`SELECT set_config('lock_timeout', '%s', true), set_config('statement_timeout', '%s', true),
		set_config('idle_in_transaction_session_timeout', '%s', true)`,
		milliseconds(lockTimeout), milliseconds(statementTimeout), milliseconds(idleTimeout))
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// bound sets what the URL leaves open: how many connections there are, how long they
// live, and that a server which does not answer is given up.
func bound(pc *pgxpool.Config) {
	if !given(pc, "pool_max_conns") {
		pc.MaxConns = int32(max(4, min(2*runtime.GOMAXPROCS(0), 16)))
	}
	pc.MaxConnLifetimeJitter = pc.MaxConnLifetime / 4
	cc := pc.ConnConfig
	if !given(pc, "connect_timeout") {
		cc.ConnectTimeout = answerTimeout
	}
	if len(cc.Fallbacks) > 0 && !given(pc, "target_session_attrs") && severalHosts(&cc.Config) {
		cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	cc.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return answeredConn{c}, nil
	}
}

// answeredConn fails when there is no answer in time to what was written last. A context
// with a deadline would say the same, and cost the driver a goroutine for each statement.
type answeredConn struct{ net.Conn }

func (c answeredConn) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
