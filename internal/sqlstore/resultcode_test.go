package sqlstore

import (
	"testing"

	sqlite3 "modernc.org/sqlite/lib"
)

func TestResultCodes(t *testing.T) {
	for ours, theirs := range map[int]int{
		sqlitePerm: sqlite3.SQLITE_PERM, sqliteBusy: sqlite3.SQLITE_BUSY, sqliteReadOnly: sqlite3.SQLITE_READONLY, sqliteCantOpen: sqlite3.SQLITE_CANTOPEN,
		sqliteForeignKey: sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlitePrimaryKey: sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqliteUnique: sqlite3.SQLITE_CONSTRAINT_UNIQUE,
	} {
		if ours != theirs {
			t.Errorf("%d, want %d", ours, theirs)
		}
	}
}
