package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// pooler is the pgbouncer of the test binary, before its server.
var pooler = sync.OnceValues(startPooler)

// Pooled returns the URL by which a database is reached through a pgbouncer that gives
// each transaction another connection.
func Pooled(t testing.TB, database string) string {
	t.Helper()
	Program(t, "pgbouncer")
	g, err := pooler()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"host": {g.dir}, "port": {"6432"}}.Encode()
	return u.String()
}

func startPooler() (*guard, error) {
	server, err := shared()
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(server.url)
	if err != nil {
		return nil, err
	}
	program, err := program("pgbouncer")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgb")
	if err != nil {
		return nil, err
	}
	users := filepath.Join(dir, "users")
	upstream := fmt.Sprintf("host=%s port=%d user=%s", config.Host, config.Port, config.User)
	if config.Password != "" {
		upstream += " password=" + config.Password
	}
	text := fmt.Sprintf(`[databases]
* = %s
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 10
max_client_conn = 500
server_idle_timeout = 5
`, upstream, dir, users)
	ini := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(users, fmt.Appendf(nil, "%q \"\"\n", config.User), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(ini, []byte(text), 0o644); err != nil {
		return nil, err
	}
	g, err := guarded(dir, program, ini)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://%s@/postgres?host=%s&port=6432&default_query_exec_mode=exec", config.User, dir))
		if err == nil {
			return g, conn.Close(ctx)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("pgbouncer does not start: %w\n%s", err, logEnd(dir))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
