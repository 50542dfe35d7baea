package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (first, second storetest.Store) {
		path := filepath.Join(t.TempDir(), "a % strange? #name", "latchkey.db")
		return open(t, path, true), open(t, path, false)
	})
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (first, second storetest.Store) {
		s := open(t, sqlstore.Memory, true)
		return s, s
	})
}
