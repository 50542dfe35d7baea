//go:build unix

package sqlstore_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// BenchmarkPostgresDrivers is the processor time of one look-up of a session by the pool,
// and by the driver for database/sql on the same pool.
func BenchmarkPostgresDrivers(b *testing.B) {
	s := openPostgres(b, pgtest.Database(b))
	session := storage.Session{ID: "s", UserID: "u", Seed: make([]byte, 32), Device: "a browser", Address: "192.0.2.1", CreatedAt: time.Now()}
	if err := s.Commit(b.Context(), create("u"), storage.CreateSession{Session: session}); err != nil {
		b.Fatal(err)
	}
	for name, look := range map[string]func() error{
		"pool":         func() error { _, _, err := s.SessionUser(b.Context(), "s"); return err },
		"database-sql": func() error { return s.SessionUserBySQL(b.Context(), "s") },
	} {
		b.Run(name, func(b *testing.B) {
			before := processorTime(b)
			for b.Loop() {
				if err := look(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
