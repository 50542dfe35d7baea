package storetest_test

import (
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) (first, second storetest.Store) {
		s := &storetest.Memory{}
		return s, s
	})
}
