package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// users stores n users with a session each, and something of every kind that has expired.
func users(t *testing.T, s transfer.Store, n int) {
	t.Helper()
	records := []transfer.Record{
		storage.Ticket{ID: "expired", ExpiresAt: now.Add(-time.Second)},
		storage.Mark{ID: "expired", ExpiresAt: now.Add(-time.Second)},
		storage.Event{ID: "expired", Time: now.Add(-91 * 24 * time.Hour)},
		storage.Event{ID: "kept", Time: now.Add(-89 * 24 * time.Hour)},
		storage.Revocation{ID: "expired", Time: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Second)},
		outbox.Mail{ID: "expired", GiveUpAt: now.Add(-time.Second)},
		transfer.Count{Key: "leaked out", Count: limit.Count{Empty: now.Add(-time.Second)}},
		keyring.Record{ID: "expired", Number: 1, ExpiresAt: now.Add(-time.Second)},
		keyring.Record{ID: "active", Number: 2},
	}
	for i := range n {
		id := storage.UserID(fmt.Sprint("id", i))
		records = append(records, transfer.User{User: storage.User{ID: id, Username: fmt.Sprint("user", i), Version: 3, SignInVersion: 2, Epoch: 7}},
			storage.Session{ID: storage.SessionID(id), UserID: id, ExpiresAt: now.Add(time.Hour), Refreshes: int64(i)})
	}
	if err := s.Import(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// copied is what a copy of users has.
func copied(n int) int64 { return int64(2*n) + 2 }

func config(from, to transfer.Store) transfer.Config {
	return transfer.Config{From: from, To: to, FromName: "sqlite:a.db", ToName: "dynamodb://b", KeepEvents: 90 * 24 * time.Hour, Now: func() time.Time { return now }}
}

func hold(t *testing.T, s transfer.Store) transfer.Hold {
	t.Helper()
	h, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func size(t *testing.T, s transfer.Store) int64 {
	t.Helper()
	n, err := s.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCopy(t *testing.T) {
	from, to := new(storetest.Memory), new(storetest.Memory)
	users(t, from, 1200)
	cfg := config(from, to)
	var told []string
	cfg.Progress = func(doing string, done, of int64) {
		if doing == "copying" && (hold(t, from).Role != transfer.Source || hold(t, to).Role != transfer.Target) {
			t.Error("a store is not held while copying")
		}
		told = append(told, doing)
	}
	report, err := transfer.Copy(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if n := report.Totals.Records(); n != copied(1200) || size(t, to) != n {
		t.Errorf("%d records were copied, and %d are there; want %d: nothing that has expired", n, size(t, to), copied(1200))
	}
	if from, to := hold(t, from), hold(t, to); from.ID != "" || to.ID != "" {
		t.Errorf("after the copy the stores are held by %v and %v", from, to)
	}
	if !slices.Contains(told, "copying") || !slices.Contains(told, "verifying") {
		t.Errorf("Progress was told %v", told)
	}
	if _, err := transfer.Copy(t.Context(), config(from, to)); !errors.Is(err, transfer.ErrTarget) || !strings.Contains(err.Error(), "users") {
		t.Errorf("into a store that has data: got %v, want ErrTarget", err)
	}
	if from, to := hold(t, from), hold(t, to); from.ID != "" || to.ID != "" {
		t.Errorf("after a refusal the stores are held by %v and %v", from, to)
	}
}

// TestCopyKeepsTheSourceReadOnly: a store that was moved says where it is now, and opens
// again.
func TestCopyKeepsTheSourceReadOnly(t *testing.T) {
	from, to := new(storetest.Memory), new(storetest.Memory)
	users(t, from, 3)
	cfg := config(from, to)
	cfg.KeepReadOnly = true
	if _, err := transfer.Copy(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	guarded := transfer.NewGuard(from, nil)
	err := guarded.Commit(t.Context(), storage.PutMark{Mark: storage.Mark{ID: "m"}})
	if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, transfer.ErrHeld) || !strings.Contains(err.Error(), "moved to dynamodb://b at 2026-11-28 12:00:00 UTC") {
		t.Errorf("writing to what was moved: got %v", err)
	}
	if err := transfer.NewGuard(to, nil).Commit(t.Context(), storage.PutMark{Mark: storage.Mark{ID: "m"}}); err != nil {
		t.Errorf("writing to what it was moved to: %v", err)
	}
	if _, err := transfer.Copy(t.Context(), config(from, new(storetest.Memory))); !errors.Is(err, transfer.ErrSource) {
		t.Errorf("copying what was moved: got %v, want ErrSource", err)
	}
	if h, err := transfer.Open(t.Context(), from); err != nil || h.Peer != "dynamodb://b" {
		t.Errorf("Open: %v, %v", h, err)
	}
	if err := guarded.Commit(t.Context(), storage.PutMark{Mark: storage.Mark{ID: "m"}}); err != nil {
		t.Errorf("writing to what was opened: %v", err)
	}
}

// failing fails the nth call of an operation, and those after it.
func failing(operation string, n int) func(string) error {
	return func(called string) error {
		if called == operation {
			n--
		}
		if called == operation && n < 0 {
			return fmt.Errorf("%w: %s fails", storage.ErrUnavailable, operation)
		}
		return nil
	}
}

// TestCopyGoesOn: a copy that keeps the source held goes on where it was after any failure,
// and copies nothing of what it had copied before but the page under way.
func TestCopyGoesOn(t *testing.T) {
	for _, c := range []struct {
		store, operation string
		n                int
	}{
		{"from", "Export", 2}, {"from", "PutHold", 0}, {"from", "Size", 0}, {"from", "Export", 6},
		{"to", "Import", 2}, {"to", "PutHold", 2}, {"to", "PutHold", 0}, {"to", "Export", 2}, {"to", "PutHold", 6},
	} {
		t.Run(fmt.Sprint(c.store, " ", c.operation, " ", c.n), func(t *testing.T) {
			from, to := new(storetest.Memory), new(storetest.Memory)
			users(t, from, 1200)
			cfg := config(from, to)
			cfg.KeepReadOnly = true
			s := map[string]*storetest.Memory{"from": from, "to": to}[c.store]
			s.Fail = failing(c.operation, c.n)
			first, err := transfer.Copy(t.Context(), cfg)
			s.Fail = nil
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			before := hold(t, to)
			second, err := transfer.Copy(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if second.Resumed != before.Totals.Records() || first.Totals.Records() > 0 && before.ID != "" && second.Resumed == 0 {
				t.Errorf("went on after %d records; %d were copied", second.Resumed, first.Totals.Records())
			}
			if n := second.Totals.Records(); n != copied(1200) || size(t, to) != n {
				t.Errorf("%d records were copied, and %d are there; want %d", n, size(t, to), copied(1200))
			}
			if from, to := hold(t, from), hold(t, to); from.Moved.IsZero() || to.ID != "" {
				t.Errorf("after the copy the stores are held by %+v and %+v", from, to)
			}
		})
	}
}

// TestCopyBeginsAnew: a source that was opened may have changed, and nothing of an earlier
// copy counts.
func TestCopyBeginsAnew(t *testing.T) {
	from, to := new(storetest.Memory), new(storetest.Memory)
	users(t, from, 1200)
	to.Fail = failing("Import", 2)
	if _, err := transfer.Copy(t.Context(), config(from, to)); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	to.Fail = nil
	if h := hold(t, from); h.ID != "" {
		t.Errorf("after a copy that failed the source is held: %v", h)
	}
	if h := hold(t, to); h.Role != transfer.Target {
		t.Errorf("after a copy that failed the target is held by %v", h)
	}
	if err := transfer.NewGuard(to, nil).Ping(t.Context()); !errors.Is(err, transfer.ErrHeld) {
		t.Errorf("writing to half a copy: got %v, want ErrHeld", err)
	}
	if _, err := transfer.Open(t.Context(), to); !errors.Is(err, transfer.ErrTarget) {
		t.Errorf("opening half a copy: got %v, want ErrTarget", err)
	}
	if err := from.Commit(t.Context(), storage.DeleteUser{User: storage.User{ID: "id0", SignInVersion: 2}}); err != nil {
		t.Fatal(err)
	}
	report, err := transfer.Copy(t.Context(), config(from, to))
	if err != nil || report.Resumed != 0 {
		t.Fatalf("the second copy goes on after %d records, %v", report.Resumed, err)
	}
	if _, err := to.User(t.Context(), "id0"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a user who was deleted in between: got %v, want ErrNotFound", err)
	}
	if gone, err := to.UserDeleted(t.Context(), "id0"); err != nil || !gone {
		t.Errorf("the id of a user who was deleted in between is not known, %v", err)
	}
}

// TestCopyRefuses: what is under way elsewhere is left alone.
func TestCopyRefuses(t *testing.T) {
	source := func(id string) transfer.Hold {
		return transfer.Hold{ID: id, Role: transfer.Source, Peer: "other", Since: now}
	}
	target := func(id string) transfer.Hold {
		return transfer.Hold{ID: id, Role: transfer.Target, Peer: "other", Since: now}
	}
	for _, c := range []struct {
		name     string
		from, to transfer.Hold
		want     error
	}{
		{"a source that is copied elsewhere", source("a"), transfer.Hold{}, transfer.ErrSource},
		{"a source that is copied into another store", source("a"), target("b"), transfer.ErrSource},
		{"half a copy as the source", target("a"), transfer.Hold{}, transfer.ErrSource},
		{"a source as the target", transfer.Hold{}, source("a"), transfer.ErrTarget},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := new(storetest.Memory), new(storetest.Memory)
			users(t, from, 1)
			for s, h := range map[transfer.Store]transfer.Hold{from: c.from, to: c.to} {
				if err := s.PutHold(t.Context(), "", h); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := transfer.Copy(t.Context(), config(from, to)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if hold(t, from).ID != c.from.ID || hold(t, to).ID != c.to.ID || size(t, to) != 0 {
				t.Error("a refused copy has changed something")
			}
		})
	}
}

// writer writes to the source while it is read, as a process does that has not noticed the
// hold.
type writer struct {
	*storetest.Memory
	at      int
	changes []storage.Change
}

func (w *writer) Export(ctx context.Context, after storage.Cursor, limit int) ([]transfer.Record, storage.Cursor, error) {
	page, next, err := w.Memory.Export(ctx, after, limit)
	if w.at--; w.at == 0 {
		err = w.Memory.Commit(ctx, w.changes...)
	}
	return page, next, err
}

// TestLateWriteIsNoticed: a write to the source after it was read makes the copy fail.
func TestLateWriteIsNoticed(t *testing.T) {
	for name, change := range map[string]storage.Change{
		"a session that ends":  storage.EndSession{Session: storage.Session{ID: "id0", EndedAt: now}},
		"a user who is new":    storage.CreateUser{User: storage.User{ID: "zoe", Username: "zoe"}},
		"a user who is gone":   storage.DeleteUser{User: storage.User{ID: "id0", SignInVersion: 2}},
		"a refresh in between": storage.RefreshSession{Session: storage.Session{ID: "id0", Refreshes: 1}},
	} {
		from, to := &writer{new(storetest.Memory), 1, []storage.Change{change}}, new(storetest.Memory)
		users(t, from, 10)
		if _, err := transfer.Copy(t.Context(), config(from, to)); !errors.Is(err, transfer.ErrDiffers) {
			t.Errorf("%s: got %v, want ErrDiffers", name, err)
		}
		if h := hold(t, to); h.Role != transfer.Target {
			t.Errorf("%s: the target can be used", name)
		}
	}
}

// slow is a store whose processes notice a hold after a while.
type slow struct{ *storetest.Memory }

func (slow) Bounds() transfer.Bounds {
	return transfer.Bounds{Look: 10 * time.Second, Write: 5 * time.Second}
}

// TestGuardNoticesInTime: writes go on for no longer than the bound, and Copy waits for it.
func TestGuardNoticesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := slow{new(storetest.Memory)}, new(storetest.Memory)
		users(t, from, 10)
		guarded := transfer.NewGuard(from, nil)
		stop := make(chan struct{})
		var last time.Time // of the last write that was taken
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
				err := guarded.Commit(t.Context(), storage.PutMark{Mark: storage.Mark{ID: storage.MarkID(fmt.Sprint(i)), ExpiresAt: now.Add(time.Hour)}})
				switch {
				case err == nil:
					last = time.Now()
				case !errors.Is(err, transfer.ErrHeld):
					t.Errorf("got %v, want ErrHeld", err)
				}
			}
		}()
		time.Sleep(time.Minute)
		cfg := config(from, to)
		begun := time.Now()
		if _, err := transfer.Copy(t.Context(), cfg); err != nil {
			t.Error(err)
		}
		if waited := time.Since(begun); waited < 15*time.Second {
			t.Errorf("Copy waited %s, want 15 s", waited)
		}
		time.Sleep(time.Minute)
		close(stop)
		<-done
		if time.Since(last) > time.Second {
			t.Error("after the copy nothing was written any more")
		}
	})
}

// TestGuardLooks: rarely while it writes, and again after the process was frozen, which
// stops the monotonic clock.
func TestGuardLooks(t *testing.T) {
	asked := 0
	s := slow{&storetest.Memory{Fail: func(operation string) error {
		if operation == "Hold" {
			asked++
		}
		return nil
	}}}
	clock := now
	g := transfer.NewGuard(s, func() time.Time { return clock })
	for range 100 {
		if err := g.Commit(t.Context(), storage.PutMark{Mark: storage.Mark{ID: "m"}}); err != nil {
			t.Fatal(err)
		}
	}
	clock = clock.Add(9 * time.Second)
	if err := g.Ping(t.Context()); err != nil || asked != 1 {
		t.Errorf("looked %d times within 10 s, %v; want once", asked, err)
	}
	if err := s.PutHold(t.Context(), "", transfer.Hold{ID: "copy", Role: transfer.Source}); err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{time.Second, -time.Hour, time.Hour} {
		clock = clock.Add(later)
		before := asked
		if err := g.Ping(t.Context()); !errors.Is(err, transfer.ErrHeld) || asked != before+1 {
			t.Errorf("%s later: looked %d times, got %v; want one look and ErrHeld", later, asked-before, err)
		}
	}
	clock = clock.Add(time.Hour)
	s.Fail = func(string) error { return fmt.Errorf("%w: away", storage.ErrUnavailable) }
	if err := g.Ping(t.Context()); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, transfer.ErrHeld) {
		t.Errorf("when nobody can look: got %v, want ErrUnavailable", err)
	}
}

// TestGuardRefusesEveryWrite: nothing that a method writes gets through, and every read
// does.
func TestGuardRefusesEveryWrite(t *testing.T) {
	s := new(storetest.Memory)
	if err := s.PutHold(t.Context(), "", transfer.Hold{ID: "copy", Role: transfer.Source}); err != nil {
		t.Fatal(err)
	}
	writes := []string{"Commit", "LoadUsers", "Take", "Settle", "AddKey", "Purge", "Ping"}
	own := []string{"Export", "Import", "Erase", "Size", "Hold", "PutHold", "Bounds"} // of the copy itself
	var asked []string
	s.Fail = func(operation string) error { asked = append(asked, operation); return nil }
	guarded := reflect.ValueOf(transfer.Ports(transfer.NewGuard(s, nil)))
	port := reflect.TypeFor[transfer.Ports]()
	for i := range port.NumMethod() {
		name := port.Method(i).Name
		if slices.Contains(own, name) {
			continue
		}
		asked = nil
		method := guarded.MethodByName(name)
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for n := 1; n < method.Type().NumIn() && !(method.Type().IsVariadic() && n == method.Type().NumIn()-1); n++ {
			arguments = append(arguments, reflect.Zero(method.Type().In(n)))
		}
		if name == "LoadUsers" {
			arguments[1] = reflect.ValueOf([]storage.LoadedUser{{}})
		}
		results := method.Call(arguments)
		err, _ := results[len(results)-1].Interface().(error)
		if refused := errors.Is(err, transfer.ErrHeld); refused != slices.Contains(writes, name) || refused == slices.Contains(asked, name) {
			t.Errorf("%s: got %v, and the store was asked for %v", name, err, asked)
		}
	}
}

// TestDigest: every member of every record counts, and the order of records does not.
func TestDigest(t *testing.T) {
	one := transfer.Totals{}
	for _, r := range []transfer.Record{
		transfer.User{User: storage.User{ID: "u", Roles: []string{"a"}, Attributes: map[string]string{"b": "c", "d": "e"}, Disabled: true}, ProfileAt: now},
		transfer.DeletedUser{ID: "d"}, storage.Credential{Key: "c", Data: []byte{1}}, storage.Session{ID: "s"}, storage.Ticket{ID: "t"}, storage.Mark{ID: "m"},
		outbox.Mail{ID: "q"}, storage.Event{ID: "e"}, storage.Revocation{ID: "r"}, transfer.Count{Key: "n"}, keyring.Record{ID: "k"},
	} {
		one.Add(r)
		value := reflect.New(reflect.TypeOf(r)).Elem()
		value.Set(reflect.ValueOf(r))
		seen := map[transfer.Digest]string{digest(r): "nothing"}
		eachMember(value, "", func(name string) {
			d := digest(value.Interface())
			if other, ok := seen[d]; ok {
				t.Errorf("%T: a change of %s is one of %s", r, name, other)
			}
			seen[d] = name
		})
	}
	if one.Records() != int64(len(transfer.Kinds())) {
		t.Errorf("%d records of %d kinds", one.Records(), len(transfer.Kinds()))
	}
	a, b := transfer.Totals{}, transfer.Totals{}
	x, y := storage.Mark{ID: "x"}, storage.Mark{ID: "y"}
	for range 3 {
		a.Add(x)
	}
	a.Add(y)
	b.Add(y)
	for range 3 {
		b.Add(x)
	}
	if d := a.Difference(b); d != "" {
		t.Errorf("in another order: %s", d)
	}
	b.Add(x)
	if d := a.Difference(b); d != "4 and 5 marks" {
		t.Errorf("one more: %q", d)
	}
	a.Add(y)
	if d := a.Difference(b); d != "other content in 5 marks" {
		t.Errorf("another one: %q", d)
	}
	empty, none := storage.Session{Seed: []byte{}, Proof: storage.Proof{AMR: []string{}}}, storage.Session{}
	if digest(empty) != digest(none) {
		t.Error("an empty list is not the same as none")
	}
}

func digest(r transfer.Record) transfer.Digest {
	t := transfer.Totals{}
	t.Add(r)
	return t[transfer.KindOf(r)].Digest
}

// eachMember changes one member after the other, and takes it back.
func eachMember(v reflect.Value, name string, changed func(name string)) {
	set := func(to reflect.Value) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		v.Set(to)
		changed(name)
		v.Set(before)
	}
	switch v.Interface().(type) {
	case time.Time:
		set(reflect.ValueOf(now.Add(time.Microsecond)))
		return
	case []byte:
		set(reflect.ValueOf([]byte("changed")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			eachMember(v.Field(i), name+"."+v.Type().Field(i).Name, changed)
		}
	case reflect.String:
		set(reflect.ValueOf("changed").Convert(v.Type()))
	case reflect.Int64:
		set(reflect.ValueOf(v.Int() + 1))
	case reflect.Bool:
		set(reflect.ValueOf(!v.Bool()))
	case reflect.Slice:
		set(reflect.ValueOf([]string{"changed", ""}))
		set(reflect.ValueOf([]string{"change", "d"}))
	case reflect.Map:
		set(reflect.ValueOf(map[string]string{"b": "c"}))
		set(reflect.ValueOf(map[string]string{"b": "cd", "": "e"}))
	default:
		panic(name)
	}
}

// FuzzParseHold: what is stored is read, and what cannot be is an error.
func FuzzParseHold(f *testing.F) {
	f.Add("")
	f.Add(transfer.Hold{ID: "a", Role: transfer.Target, Totals: transfer.Totals{transfer.Users: {Count: 1}}}.Encode())
	f.Add(`{"id":"a","role":"source","totals":{"users":{"digest":"00"}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := transfer.ParseHold(text)
		if err != nil || h.ID == "" {
			if text != "" && err == nil {
				t.Errorf("%q is no hold, and no error", text)
			}
			return
		}
		again, err := transfer.ParseHold(h.Encode())
		if err != nil || again.ID != h.ID || again.Role != h.Role || again.Cursor != h.Cursor {
			t.Errorf("%+v becomes %+v, %v", h, again, err)
		}
	})
}
