package sqlstore

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storecheck"
)

// Check looks at the database file at the path. It changes nothing, but for a transaction
// that is begun for writing and taken back.
func Check(ctx context.Context, path string) []storecheck.Finding {
	info, err := Inspect(ctx, path)
	if err != nil {
		return []storecheck.Finding{{Check: "database", Result: storecheck.Wrong, Found: err.Error(), Advice: "create it with latchkey init, or name the right one"}}
	}
	if info.Kind == "" {
		return []storecheck.Finding{{Check: "database", Result: storecheck.Wrong, Found: "nothing is in it", Advice: "latchkey init"}}
	}
	return []storecheck.Finding{checkSchema(info.Schema), checkIntegrity(ctx, path), checkMode(path), checkWriting(ctx, path)}
}

func checkSchema(found int) storecheck.Finding {
	f := storecheck.Fine("schema", "%d", found)
	steps, _ := fs.Glob(migrations, "migrations/*.sql") // the pattern is right
	switch known := len(steps); {
	case found > known:
		f.Result, f.Advice = storecheck.Wrong, (&NewerSchemaError{found, known}).Error()
	case found < known:
		f.Result, f.Advice = storecheck.Warning, "an earlier version's; the next start of the service or of a command brings it up to date"
	}
	return f
}

func checkIntegrity(ctx context.Context, path string) storecheck.Finding {
	said := ""
	err := lookAt(ctx, path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&said)
	})
	f := storecheck.Fine("integrity", "ok")
	if err != nil {
		said = err.Error()
	}
	if said != "ok" {
		f.Result, f.Found, f.Advice = storecheck.Wrong, said, "stop the service and restore a copy, see docs/operate.md"
	}
	return f
}

// checkMode: the file holds password hashes.
func checkMode(path string) storecheck.Finding {
	info, err := os.Stat(path)
	if err != nil {
		return storecheck.Finding{Check: "file mode", Result: storecheck.Wrong, Found: err.Error(), Advice: "name the right file"}
	}
	f := storecheck.Fine("file mode", "%04o", info.Mode().Perm())
	if os.PathSeparator == '/' && info.Mode().Perm()&0o077 != 0 {
		f.Result, f.Advice = storecheck.Wrong, "others than its owner can read password hashes: chmod 600 "+path
	}
	return f
}

// checkWriting takes the lock of writers, and returns how long that took.
func checkWriting(ctx context.Context, path string) storecheck.Finding {
	var took time.Duration
	err := withFile(ctx, path, func(db *sql.DB) error {
		begun := time.Now()
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		took = time.Since(begun)
		return tx.Rollback()
	})
	if err != nil {
		return storecheck.Finding{Check: "writing", Result: storecheck.Wrong, Found: err.Error(), Advice: "see which process holds the database, and whose the files are"}
	}
	return storecheck.Fine("writing", "the lock was free after %s", took.Round(10*time.Microsecond))
}
