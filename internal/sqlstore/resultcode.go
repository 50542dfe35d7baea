package sqlstore

// Result codes of SQLite (sqlite.org/rescode.html). Those of the first group are what the
// extended ones have in their last byte.
const (
	sqlitePerm     = 3
	sqliteBusy     = 5
	sqliteReadOnly = 8
	sqliteCantOpen = 14

	sqliteForeignKey = 787
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
)
