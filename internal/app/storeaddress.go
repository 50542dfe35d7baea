package app

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// A StoreScheme is an engine that keeps everything.
type StoreScheme string

const (
	SQLite   StoreScheme = "sqlite"
	Postgres StoreScheme = "postgres"
	DynamoDB StoreScheme = "dynamodb"
)

// Memory, in the place of a path or a data directory, is a database that is nowhere on
// disk and gone with the process.
const Memory = ":memory:"

// A StoreAddress says where everything is kept. The zero value names nothing.
type StoreAddress struct {
	Scheme StoreScheme
	Path   string // of SQLite's file, or Memory
	URL    Secret // of PostgreSQL, as it was given: it may hold a password
	Table  string // of DynamoDB
	Region string // of the table; empty: as the standard variables and files of AWS say
	// Endpoint is called in place of AWS's; empty: as those say.
	Endpoint string

	shown    string // without a password
	password bool   // URL holds one
}

// String is the address without its password.
func (a StoreAddress) String() string { return a.shown }

// GoString is for %#v.
func (a StoreAddress) GoString() string { return a.shown }

// MarshalText is for JSON and logs.
func (a StoreAddress) MarshalText() ([]byte, error) { return []byte(a.shown), nil }

// HasPassword reports whether the address holds a password, which then must not stand
// where others can read it.
func (a StoreAddress) HasPassword() bool { return a.password }

// maxStoreAddress is far more than any address has.
const maxStoreAddress = 2048

// storeForms are how addresses are written, for errors.
const storeForms = "sqlite:/var/lib/latchkey/latchkey.db, postgres://USER@HOST/DATABASE or dynamodb://TABLE?region=eu-west-1"

// ParseStoreAddress reads an address. Its errors never show it: it may hold a password.
func ParseStoreAddress(text string) (StoreAddress, error) {
	if len(text) > maxStoreAddress {
		return StoreAddress{}, fmt.Errorf("the address of the store has %d bytes, more than %d", len(text), maxStoreAddress)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return StoreAddress{}, fmt.Errorf("the address of the store holds a control character")
	}
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case !ok || !isScheme(scheme):
		return StoreAddress{}, fmt.Errorf("the address of the store begins with no scheme; write it like %s", storeForms)
	case scheme == string(SQLite):
		return parseSQLite(rest)
	case scheme == string(Postgres), scheme == "postgresql":
		return parsePostgres(text)
	case scheme == string(DynamoDB):
		return parseDynamoDB(text)
	}
	return StoreAddress{}, fmt.Errorf("the store cannot be %q; write its address like %s", scheme, storeForms)
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// consists reports whether the text has from least to most of the characters, and no
// others. A regular expression that counts takes longer to compile than all else at the
// start of the program.
func consists(text string, least, most int, of string) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, of) == ""
}

// isScheme reports whether the text looks like a scheme. A password does not stand there.
func isScheme(text string) bool { return consists(text, 1, 20, lower+digits+"+.-") }

func sqliteAddress(path string) StoreAddress {
	return StoreAddress{Scheme: SQLite, Path: path, shown: string(SQLite) + ":" + path}
}

// parseSQLite takes the rest for a path as it is.
func parseSQLite(path string) (StoreAddress, error) {
	const example = "write it like sqlite:/var/lib/latchkey/latchkey.db"
	switch {
	case path == "":
		return StoreAddress{}, fmt.Errorf("the address of the store names no file; %s", example)
	case strings.HasPrefix(path, "//"):
		return StoreAddress{}, fmt.Errorf("the address of the store is a path, without // before it; %s", example)
	case strings.ContainsAny(path, "?#"):
		return StoreAddress{}, fmt.Errorf("the address of a SQLite store takes no parameters; %s", example)
	case strings.HasSuffix(path, "/"):
		return StoreAddress{}, fmt.Errorf("the address of the store names a directory; name the file in it: %s", example)
	}
	return sqliteAddress(path), nil
}

// postgresParameters are those that the driver knows. What is not among them it would
// hand to the server.
var postgresParameters = []string{
	"application_name", "channel_binding", "connect_timeout", "dbname", "default_query_exec_mode", "host", "passfile", "password",
	"pool_max_conns", "port", "search_path", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs", "user",
}

func parsePostgres(text string) (StoreAddress, error) {
	const example = "write it like postgres://latchkey@db.example.com/latchkey?sslmode=verify-full"
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || !strings.Contains(text, "://") {
		return StoreAddress{}, fmt.Errorf("the address of the PostgreSQL store is no URL; %s, with what is special in the password percent-encoded", example)
	}
	q, err := parameters(u, postgresParameters, example)
	if err != nil {
		return StoreAddress{}, err
	}
	if u.Fragment != "" {
		return StoreAddress{}, fmt.Errorf("the address of the PostgreSQL store holds a #; percent-encode it in a password (%%23), and %s", example)
	}
	// ada:12/x@db is a password with a slash in it, which url.Parse takes for the port 12.
	if strings.Contains(u.EscapedPath(), "@") {
		return StoreAddress{}, fmt.Errorf("the address of the PostgreSQL store holds a / before an @; percent-encode it in a password (%%2F), and %s", example)
	}
	a := StoreAddress{Scheme: Postgres, URL: Secret(text)}
	_, a.password = u.User.Password()
	a.password = a.password || q.Get("password") != ""
	q.Del("password")
	a.shown = string(Postgres) + "://"
	if u.User != nil {
		a.shown += url.User(u.User.Username()).String() + "@"
	}
	a.shown += u.Host + u.EscapedPath()
	if len(q) > 0 {
		a.shown += "?" + q.Encode()
	}
	return a, nil
}

// isTable reports whether DynamoDB takes the text for the name of a table.
func isTable(text string) bool { return consists(text, 3, 255, lower+upper+digits+"_.-") }

func parseDynamoDB(text string) (StoreAddress, error) {
	const example = "write it like dynamodb://latchkey?region=eu-west-1"
	u, err := url.Parse(text)
	switch {
	case err != nil, !isTable(u.Host):
		return StoreAddress{}, fmt.Errorf("the address of the DynamoDB store names no table: 3 to 255 letters, digits, dots, _ and -; %s", example)
	case u.User != nil:
		return StoreAddress{}, fmt.Errorf("the address of the DynamoDB store holds no credentials: they come from the variables, files and roles of AWS; %s", example)
	case u.Path != "" || u.Fragment != "":
		return StoreAddress{}, fmt.Errorf("the address of the DynamoDB store is a table and its parameters; %s", example)
	}
	q, err := parameters(u, []string{"region", "endpoint"}, example)
	if err != nil {
		return StoreAddress{}, err
	}
	a := StoreAddress{Scheme: DynamoDB, Table: u.Host, Region: q.Get("region"), Endpoint: q.Get("endpoint")}
	if q.Has("region") && !consists(a.Region, 1, 32, lower+digits+"-") {
		return StoreAddress{}, fmt.Errorf("the region of the DynamoDB store must be like eu-west-1; %s", example)
	}
	if q.Has("endpoint") {
		if err := checkEndpoint(a.Endpoint); err != nil {
			return StoreAddress{}, err
		}
	}
	a.shown = string(DynamoDB) + "://" + a.Table
	if len(q) > 0 {
		a.shown += "?" + q.Encode()
	}
	return a, nil
}

// checkEndpoint refuses an endpoint that nothing can be reached by, and one to which
// password hashes would travel in the clear.
func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") {
		return fmt.Errorf("the endpoint of the DynamoDB store must be like https://dynamodb.eu-west-1.amazonaws.com or http://127.0.0.1:8000")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return fmt.Errorf("the endpoint of the DynamoDB store is on another machine, and http would show it everything that is stored: use https")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// parameters are those of a URL: known ones, each once.
func parameters(u *url.URL, known []string, example string) (url.Values, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the parameters in the address of the store cannot be read; %s", example)
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			// Its name is not shown: a password that is not encoded can end in a "?".
			return nil, fmt.Errorf("the address of the store has an unknown parameter; known are %s; %s", strings.Join(known, ", "), example)
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("the address of the store has %s twice; keep one", name)
		}
	}
	return q, nil
}
