package storetest

import (
	"context"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

func credentials(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	ada, bob := w.user("ada"), w.user("bob")
	added := credential("new", ada)
	stored := added
	stored.Version = 1
	w.does("adding one", func(all *state) { all.Credentials["new"] = stored }, storage.CreateCredential{Credential: added})
	w.refuses("adding one of somebody else's key", storage.ErrTaken, storage.CreateCredential{Credential: credential("passkey", bob)})
	w.refuses("adding one of one's own key", storage.ErrTaken, storage.CreateCredential{Credential: credential("passkey", ada)})
	if page, err := w.other.UserCredentials(t.Context(), ada.ID, 1); err != nil || len(page) != 1 || page[0].Key != "new" {
		t.Errorf("UserCredentials, limit 1: %v, %v; want the first by key", page, err)
	}

	changed := stored
	changed.Data = []byte("other data")
	after := changed
	after.Version = 2
	w.does("changing it", func(all *state) { all.Credentials["new"] = after }, storage.UpdateCredential{Credential: changed})
	w.refuses("changing it as it was", storage.ErrConflict, storage.UpdateCredential{Credential: changed})
	w.refuses("changing one that is not there", storage.ErrConflict, storage.UpdateCredential{Credential: credential("newer", ada)})
	w.refuses("deleting it as it was", storage.ErrConflict, storage.DeleteCredential{Credential: changed})
	w.does("deleting it", func(all *state) { delete(all.Credentials, "new") }, storage.DeleteCredential{Credential: after})
	w.refuses("deleting it again", storage.ErrConflict, storage.DeleteCredential{Credential: after})
	w.does("giving its key to another", func(all *state) {
		c := credential("new", bob)
		c.Version = 1
		all.Credentials["new"] = c
	}, storage.CreateCredential{Credential: credential("new", bob)})

	won := race(t, s, other, storage.ErrTaken, func(ctx context.Context, s Store, _ int) error {
		return s.Commit(ctx, storage.CreateCredential{Credential: credential("newer", ada)})
	})
	if won != 1 {
		t.Errorf("%d of many have added one of the same key, want 1", won)
	}
}
