package storetest_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) (first, second storetest.Store) {
		s := &storetest.Memory{}
		return s, s
	})
}

// TestMemoryFails: each operation can be made to fail by its name, and then does nothing.
func TestMemoryFails(t *testing.T) {
	var asked []string
	fails := true
	s := &storetest.Memory{Fail: func(operation string) error {
		asked = append(asked, operation)
		if fails {
			return storage.ErrUnavailable
		}
		return nil
	}}
	store := reflect.ValueOf(storetest.Store(s))
	port := reflect.TypeFor[storetest.Store]()
	for i := range port.NumMethod() {
		name := port.Method(i).Name
		if name == "Bounds" { // which asks nobody
			continue
		}
		asked = nil
		method := store.MethodByName(name)
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for n := 1; n < method.Type().NumIn(); n++ {
			if method.Type().IsVariadic() && n == method.Type().NumIn()-1 {
				break
			}
			arguments = append(arguments, reflect.Zero(method.Type().In(n)))
		}
		results := method.Call(arguments)
		err, _ := results[len(results)-1].Interface().(error)
		if !errors.Is(err, storage.ErrUnavailable) || !slices.Equal(asked, []string{name}) {
			t.Errorf("%s: got error %v, and Fail was asked for %v", name, err, asked)
		}
	}

	ctx := t.Context()
	take := limit.Take{Key: "k", At: time.Now(), Fade: time.Minute}
	for name, write := range map[string]func() error{
		"Commit": func() error { return s.Commit(ctx, storage.PutMark{Mark: storage.Mark{ID: "m"}}) },
		"LoadUsers": func() error {
			_, err := s.LoadUsers(ctx, []storage.LoadedUser{{User: storage.User{ID: "u", Username: "u"}}})
			return err
		},
		"Take":   func() error { _, err := s.Take(ctx, []limit.Take{take}); return err },
		"Settle": func() error { return s.Settle(ctx, nil, nil, []limit.Take{take}) },
		"AddKey": func() error { return s.AddKey(ctx, keyring.Record{ID: "k", Number: 1}, nil) },
	} {
		if err := write(); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: got error %v, want ErrUnavailable", name, err)
		}
	}
	fails = false
	_, err := s.Mark(ctx, "m")
	_, userErr := s.User(ctx, "u")
	counts, _, _ := s.Counts(ctx, []string{"k"}, "")
	keys, _ := s.Keys(ctx)
	if !errors.Is(err, storage.ErrNotFound) || !errors.Is(userErr, storage.ErrNotFound) || counts[0] != (limit.Count{}) || len(keys) != 0 {
		t.Errorf("after failures: mark %v, user %v, counts %v, keys %v; want nothing", err, userErr, counts, keys)
	}
}

// TestMemoryPurges: what the suite leaves to a store, Memory does at once.
func TestMemoryPurges(t *testing.T) {
	ctx, s := context.Background(), &storetest.Memory{}
	then := time.Now()
	u := storage.User{ID: "u", Username: "u"}
	err := s.Commit(ctx, storage.CreateUser{User: u}, storage.CreateSession{Session: storage.Session{ID: "s", UserID: "u", ExpiresAt: then}},
		storage.PutTicket{Ticket: storage.Ticket{ID: "t", ExpiresAt: then}}, storage.PutMark{Mark: storage.Mark{ID: "m", ExpiresAt: then}},
		storage.QueueMail{Mail: outbox.Mail{ID: "q", DueAt: then, GiveUpAt: then}}, storage.AppendEvent{Event: storage.Event{ID: "e", Time: then}},
		storage.AppendRevocation{Revocation: storage.Revocation{ID: "r", Time: then, ExpiresAt: then}})
	if err == nil {
		err = s.AddKey(ctx, keyring.Record{ID: "k", Number: 1, ExpiresAt: then}, nil)
	}
	if err == nil {
		_, err = s.Take(ctx, []limit.Take{{Key: "k", At: then, Fade: time.Minute}})
	}
	later := then.Add(time.Second)
	if err == nil {
		err = s.Purge(ctx, storage.Moments{Expired: later, Events: later, Counts: later})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _, sessionErr := s.SessionUser(ctx, "s")
	_, ticketErr := s.Ticket(ctx, "t")
	_, markErr := s.Mark(ctx, "m")
	for name, err := range map[string]error{"session": sessionErr, "ticket": ticketErr, "mark": markErr} {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: got error %v, want ErrNotFound", name, err)
		}
	}
	mails, _ := s.DueMails(ctx, later, 1)
	events, _, _ := s.Events(ctx, time.Time{}, "", 1)
	revocations, _, _ := s.Revocations(ctx, time.Time{}, "", 1)
	counts, _, _ := s.Counts(ctx, []string{"k"}, "")
	keys, _ := s.Keys(ctx)
	if len(mails)+len(events)+len(revocations)+len(keys) != 0 || counts[0] != (limit.Count{}) {
		t.Errorf("left are %v, %v, %v, %v and %v", mails, events, revocations, counts, keys)
	}
}
