package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Codes of PostgreSQL (its appendix A) that mean something here.
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	notText             = "22021" // no UTF-8, or a NUL
	tooLarge            = "54000" // for an index
	serialization       = "40001"
	deadlock            = "40P01"
	lockNotAvailable    = "55P03"
	adminShutdown       = "57P01"
	crashShutdown       = "57P02"
	cannotConnectNow    = "57P03" // it is starting
	tooManyConnections  = "53300"
	noSuchStatement     = "26000" // that was prepared on another connection
	duplicateStatement  = "42P05"
	readOnly            = "25006"
	noSuchDatabase      = "3D000"
	notPermitted        = "42501"
	wrongPassword       = "28P01"
)

var (
	// errAgain: what was read is out of date, and nothing is carried out.
	errAgain = errors.New("overtaken by another commit")
	// errBroken: the connection has ended, and no commit was sent over it.
	errBroken = errors.New("connection to PostgreSQL lost")
)

func isCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code == code {
			return true
		}
	}
	return false
}

// again reports whether nothing was carried out, and a repetition may be.
func again(err error) bool {
	if err == nil || errors.Is(err, storage.ErrUnavailable) {
		return false
	}
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) && !errors.As(err, new(*pgconn.PgError)) {
		return !errors.Is(err, context.DeadlineExceeded)
	}
	return errors.Is(err, errAgain) || errors.Is(err, errBroken) ||
		isCode(err, serialization, deadlock, lockNotAvailable, adminShutdown, crashShutdown, cannotConnectNow,
			tooManyConnections, noSuchStatement, duplicateStatement)
}

// refused reports whether the server has refused a statement and goes on. What ends the
// connection may come after a commit was carried out.
func refused(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.SeverityUnlocalized == "ERROR"
}

// ownError is what an error of PostgreSQL is at the port; nil: an outage, or no error of
// PostgreSQL.
func ownError(err error) error {
	switch {
	case isCode(err, uniqueViolation):
		return storage.ErrTaken
	case isCode(err, foreignKeyViolation):
		return storage.ErrConflict // the user is gone
	case isCode(err, notText, tooLarge):
		return fmt.Errorf("%w: %w", storage.ErrChanges, err)
	}
	return nil
}

// ErrNoSuchDatabase: PostgreSQL has no database of the name, and the program makes none.
var ErrNoSuchDatabase = fmt.Errorf("%w of this name", ErrNoDatabase)

// explainPostgres adds what to do about what hinders a start.
func explainPostgres(pc *pgxpool.Config, err error) error {
	cc := pc.ConnConfig
	switch {
	case isCode(err, noSuchDatabase):
		return fmt.Errorf("%w: CREATE DATABASE %s OWNER %s ENCODING 'UTF8' TEMPLATE template0", ErrNoSuchDatabase, cc.Database, cc.User)
	case isCode(err, wrongPassword) && cc.Password == "":
		return fmt.Errorf("%w; no password is given: set PGPASSWORD, or name a password file by PGPASSFILE", err)
	case isCode(err, notPermitted):
		return fmt.Errorf("%w; %s has to own the database, or: GRANT USAGE, CREATE ON SCHEMA public TO %[2]s", err, cc.User)
	}
	return err
}
