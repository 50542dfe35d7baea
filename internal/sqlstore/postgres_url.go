package sqlstore

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresParameters are what the URL may have. What the driver does not know it would
// hand to the server as a setting, and some that it knows read other settings from files.
var postgresParameters = []string{
	"application_name", "channel_binding", "connect_timeout", "dbname", "default_query_exec_mode", "host", "passfile",
	"password", "pool_max_conns", "port", "search_path", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs", "user",
}

const postgresExample = "postgres://latchkey@db.example.com/latchkey"

// parsePostgres reads a URL. No error has anything of its password.
func parsePostgres(text string) (*pgxpool.Config, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" || u.Fragment != "" {
		return nil, fmt.Errorf("not the URL of a PostgreSQL database: write it like %s", postgresExample)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("parameters of the PostgreSQL URL cannot be read: write them like %s?sslrootcert=ca.pem", postgresExample)
	}
	for name, values := range query {
		switch {
		case !slices.Contains(postgresParameters, name):
			// Its name is not shown: a password that is not encoded can end in a "?".
			return nil, fmt.Errorf("a parameter of the PostgreSQL URL is not known; there are %s", strings.Join(postgresParameters, ", "))
		case len(values) > 1:
			return nil, fmt.Errorf("parameter %s of the PostgreSQL URL is there %d times", name, len(values))
		}
	}
	pc, err := pgxpool.ParseConfig(text)
	if err == nil && !query.Has("sslmode") && unverified(&pc.ConnConfig.Config) != "" {
		query.Set("sslmode", "verify-full")
		u.RawQuery = query.Encode()
		pc, err = pgxpool.ParseConfig(u.String())
	}
	if err != nil {
		return nil, fmt.Errorf("reading the PostgreSQL URL: %w", withoutURL(err))
	}
	if host := unverified(&pc.ConnConfig.Config); host != "" {
		return nil, fmt.Errorf("the certificate of PostgreSQL on %s would not be verified: use sslmode=verify-full, and sslrootcert=FILE for a certificate authority of your own", host)
	}
	if pc.ConnConfig.Database == "" {
		return nil, fmt.Errorf("the PostgreSQL URL names no database: write it like %s", postgresExample)
	}
	if pc.ConnConfig.RuntimeParams["application_name"] == "" {
		pc.ConnConfig.RuntimeParams["application_name"] = "latchkey"
	}
	bound(pc)
	return pc, nil
}

// withoutURL leaves of an error of the driver what it says beside the URL.
func withoutURL(err error) error {
	var e *pgconn.ParseConfigError
	if errors.As(err, &e) {
		if cause := errors.Unwrap(e); cause != nil {
			return cause
		}
		return errors.New("a parameter has a value that cannot be")
	}
	return err
}

// unverified returns a host, not of this machine, to which a connection would be made
// without knowing that it is the one: without TLS, or by a certificate that is not
// checked.
func unverified(c *pgconn.Config) string {
	hosts := append([]*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, h := range hosts {
		if !thisMachine(h.Host) && (h.TLSConfig == nil || h.TLSConfig.InsecureSkipVerify) {
			return h.Host
		}
	}
	return ""
}

// thisMachine: a Unix socket, or loopback.
func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return filepath.IsAbs(host) || host == "localhost" || ip != nil && ip.IsLoopback()
}

func severalHosts(c *pgconn.Config) bool {
	return slices.ContainsFunc(c.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.Host != c.Host || f.Port != c.Port })
}

// given reports whether the URL has the parameter.
func given(pc *pgxpool.Config, name string) bool {
	u, err := url.Parse(pc.ConnString())
	return err == nil && u.Query().Has(name)
}

// postgresName is what logs and errors call the database.
func postgresName(pc *pgxpool.Config) string {
	cc := pc.ConnConfig
	if filepath.IsAbs(cc.Host) {
		return fmt.Sprintf("postgres:///%s?host=%s", cc.Database, cc.Host)
	}
	return fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(cc.Host, fmt.Sprint(cc.Port)), cc.Database)
}
