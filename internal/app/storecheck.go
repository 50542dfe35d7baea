package app

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storecheck"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// CheckStore looks whether the store is fit for a service. It needs no master key and
// creates nothing that lasts.
func CheckStore(ctx context.Context, cfg Config) ([]storecheck.Finding, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	switch a := cfg.address(); a.Scheme {
	case SQLite:
		return cfg.checkSQLite(ctx, a)
	case Postgres:
		return cfg.checkPostgres(ctx, a)
	case DynamoDB:
		return cfg.checkDynamoDB(ctx, a)
	default:
		return nil, settingsErrorf("--store: there is no store of scheme %q in this program", a.Scheme)
	}
}

// checkSQLite looks at the database and its files. Of one whose schema is this version's it
// also looks at what is in it: opening another one would change it.
func (c Config) checkSQLite(ctx context.Context, a StoreAddress) ([]storecheck.Finding, error) {
	all := sqlstore.Check(ctx, a.Path)
	current := slices.ContainsFunc(all, func(f storecheck.Finding) bool { return f.Check == "schema" && f.Result == storecheck.OK })
	if err := checkDatabaseFiles(a.Path); err != nil {
		all = append(all, storecheck.Finding{Check: "access", Result: storecheck.Wrong, Found: "refused by the operating system", Advice: err.Error()})
	}
	if name := sharedFileSystem(filepath.Dir(a.Path)); name != "" {
		all = append(all, storecheck.Finding{Check: "file system", Result: storecheck.Warning, Found: name, Advice: "SQLite can lose or damage data there: its locks need a disk of this machine"})
	}
	if !current || storecheck.Failed(all) {
		return all, nil
	}
	c.Kind, c.Create = "", false
	s, err := c.openEngine(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return append(all, checkContent(ctx, s)...), nil
}

func (c Config) checkDynamoDB(ctx context.Context, a StoreAddress) ([]storecheck.Finding, error) {
	s, _, err := c.connectDynamoDB(ctx, a)
	if err != nil {
		return nil, err
	}
	all := s.Check(ctx)
	for _, f := range all {
		if f.Check == "table" && f.Result == storecheck.Wrong {
			return all, nil
		}
	}
	return append(all, checkContent(ctx, s)...), nil
}

// checkTrip times writing and reading.
func checkTrip(ctx context.Context, s Store) []storecheck.Finding {
	begun := time.Now()
	if err := s.Ping(ctx); err != nil {
		return []storecheck.Finding{{Check: "writing", Result: storecheck.Wrong, Found: err.Error()}}
	}
	written := time.Since(begun)
	begun = time.Now()
	if _, err := s.UserDeleted(ctx, "nobody"); err != nil {
		return []storecheck.Finding{{Check: "reading", Result: storecheck.Wrong, Found: err.Error()}}
	}
	return []storecheck.Finding{
		storecheck.Fine("writing", "%s", written.Round(10*time.Microsecond)),
		storecheck.RoundTrip(time.Since(begun)),
	}
}

// checkContent looks for what init makes, and for what a copy leaves.
func checkContent(ctx context.Context, s Store) []storecheck.Finding {
	all := []storecheck.Finding{checkMark(ctx, s), checkKeys(ctx, s)}
	h, err := s.Hold(ctx)
	switch {
	case err != nil:
		all = append(all, storecheck.Finding{Check: "read-only", Result: storecheck.Wrong, Found: err.Error()})
	case h.Role == transfer.Target:
		all = append(all, storecheck.Finding{Check: "read-only", Result: storecheck.Wrong, Found: "yes", Advice: h.String()})
	case h.ID != "":
		all = append(all, storecheck.Finding{Check: "read-only", Result: storecheck.Warning, Found: "yes", Advice: h.String()})
	default:
		all = append(all, storecheck.Fine("read-only", "no"))
	}
	return all
}

func checkMark(ctx context.Context, s Store) storecheck.Finding {
	kind, err := s.StoreKind(ctx)
	f := storecheck.Fine("mark", "%s", kind)
	switch {
	case err != nil:
		f.Result, f.Found = storecheck.Wrong, err.Error()
	case kind == "":
		f.Result, f.Found, f.Advice = storecheck.Wrong, "none: nothing is in the store yet", "latchkey init"
	case kind == storage.UnmarkedStore:
		f.Result, f.Advice = storecheck.Warning, "it counts as production; latchkey store mark --production says so"
	}
	return f
}

func checkKeys(ctx context.Context, s Store) storecheck.Finding {
	keys, err := s.Keys(ctx)
	f := storecheck.Fine("signing keys", "%d", len(keys))
	switch {
	case err != nil:
		f.Result, f.Found = storecheck.Wrong, err.Error()
	case len(keys) == 0:
		f.Result, f.Found, f.Advice = storecheck.Wrong, "none", "latchkey init; with TOKEN_SECRET none is needed"
	}
	return f
}
