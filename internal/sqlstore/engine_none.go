//go:build nosqlite

package sqlstore

import (
	"database/sql"
	"database/sql/driver"
	"errors"
)

func init() { sql.Register("sqlite", none{}) }

// none stands in the place of SQLite in programs that are built without it, for Lambda,
// where there is no disk for it.
type none struct{}

func (none) Open(string) (driver.Conn, error) {
	return nil, errors.New("this program is built without SQLite: say by LATCHKEY_STORE which table or database to use, dynamodb://TABLE or postgres://HOST/NAME")
}

// resultCode finds none.
func resultCode(error) (code int, found bool) { return 0, false }
