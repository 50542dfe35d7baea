package dynamo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
)

// DueMails returns queued mails, longest due first: those that the queue names, as they
// are.
func (s *Store) DueMails(ctx context.Context, now time.Time, limit int) ([]outbox.Mail, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	first, last := "0", end(rising(now)+"#")
	var mails []outbox.Mail
	for len(mails) < limit {
		places, err := s.queued(ctx, first, last, limit)
		if err != nil {
			return nil, err
		}
		page, err := s.mails(ctx, now, places)
		if err != nil {
			return nil, err
		}
		mails = append(mails, page...)
		if len(places) < limit { // every shard was read to its end
			break
		}
		first = after(places[len(places)-1].key().sort)
	}
	return mails[:min(limit, len(mails))], nil
}

// queued returns the first places of the queue, of all shards.
func (s *Store) queued(ctx context.Context, first, last string, limit int) ([]item, error) {
	shards := make([][]item, mailShards)
	err := atOnce(mailShards, func(n int) error {
		l := list{partition: mailShard(n), first: first, last: last, limit: limit}
		for !l.done && len(shards[n]) < limit {
			page, err := s.more(ctx, &l)
			if err != nil {
				return err
			}
			shards[n] = append(shards[n], page...)
		}
		return nil
	})
	places := slices.Concat(shards...)
	slices.SortFunc(places, func(a, b item) int { return strings.Compare(a.key().sort, b.key().sort) })
	return places[:min(limit, len(places))], err
}

// mails reads the mails of some places. One that was claimed or deleted since is left out.
func (s *Store) mails(ctx context.Context, now time.Time, places []item) ([]outbox.Mail, error) {
	var keys []key
	for _, it := range places {
		keys = append(keys, mailKey((&reader{it: it}).text("ID")))
	}
	found, err := s.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	var mails []outbox.Mail
	for _, at := range keys {
		if len(found[at]) == 0 {
			continue
		}
		m, err := readMail(found[at])
		if err != nil {
			return nil, unavailable(err)
		}
		if !m.DueAt.After(now) {
			mails = append(mails, m)
		}
	}
	return mails, nil
}
