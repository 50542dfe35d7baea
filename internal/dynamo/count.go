package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/limit"
)

// countMargin is how long a count stays after it has leaked out.
const countMargin = 7 * 24 * time.Hour

// An expression of DynamoDB knows no maximum. So each change of a count has variants, one
// for each case of what is stored; the condition of a variant says its case, and which
// one is tried first is a guess by what was read. A wrong guess costs another attempt.

// A countState is what a variant depends on.
type countState struct {
	limit.Count
	stored bool   // there is an item
	token  string // of whoever has changed it last
}

func readCount(it item) (countState, error) {
	r := &reader{it: it}
	c := countState{
		limit.Count{Empty: r.moment("Empty"), Last: r.moment("Last"), Reserved: r.number("Reserved")},
		len(it) > 0, r.text("Token"),
	}
	return c, r.err
}

// Counts returns the counts of keys by one BatchGetItem.
func (s *Store) Counts(ctx context.Context, names []string) ([]limit.Count, error) {
	if len(names) == 0 {
		return nil, nil
	}
	ctx, cancel := s.reading(ctx)
	defer cancel()
	states, err := s.counts(ctx, names)
	if err != nil {
		return nil, err
	}
	counts := make([]limit.Count, len(names))
	for i, state := range states {
		counts[i] = state.Count
	}
	return counts, nil
}

func (s *Store) counts(ctx context.Context, names []string) ([]countState, error) {
	keys := make([]key, len(names))
	for i, name := range names {
		keys[i] = countKey(name)
	}
	found, err := s.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	states := make([]countState, len(names))
	for i, at := range keys {
		if states[i], err = readCount(found[at]); err != nil {
			return nil, unavailable(err)
		}
	}
	return states, nil
}

// errGuard: a take whose guard does not hold.
var errGuard = errors.New("guard does not hold")

// Take takes from one bucket by an UpdateItem, and from several by a transaction of them:
// from all or from none.
func (s *Store) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	if len(takes) == 0 {
		return true, nil
	}
	ctx, cancel := s.writing(ctx)
	defer cancel()
	var err error
	if len(takes) == 1 {
		err = s.change(ctx, change{name: takes[0].Key, guess: guessed(takes[0]), variant: taking(takes[0], 1)})
	} else {
		err = s.takeAll(ctx, takes)
	}
	if errors.Is(err, errGuard) {
		return false, nil
	}
	return err == nil, unavailable(err)
}

// takeAll tries the variants that fit what was read; when something else is stored, it
// reads again.
func (s *Store) takeAll(ctx context.Context, takes []limit.Take) error {
	states := make([]countState, len(takes))
	names := make([]string, len(takes))
	for i, t := range takes {
		states[i], names[i] = guessed(t), t.Key
	}
	for attempt := 0; ; attempt++ {
		var writes []write
		for i, t := range takes {
			w, err := taking(t, 1)(states[i])
			if err != nil {
				return err
			}
			writes = append(writes, w)
		}
		err := s.write(ctx, writes)
		if !errors.Is(err, errStale) {
			return err
		}
		if attempt > 0 { // others take, too
			if err := backOff(ctx, attempt); err != nil {
				return fmt.Errorf("taking %d times among others: %w", attempt, err)
			}
		}
		if states, err = s.counts(ctx, names); err != nil {
			return err
		}
	}
}

// Settle ends reservations, bucket by bucket, all at the same time.
func (s *Store) Settle(ctx context.Context, given, kept, counted []limit.Take) error {
	changes := make(map[string][]change)
	add := func(t limit.Take, variant variant, guess countState) {
		changes[t.Key] = append(changes[t.Key], change{t.Key, guess, variant})
	}
	for _, t := range given {
		guess := countState{limit.Count{Empty: t.Made(), Last: t.At, Reserved: 1}, true, ""}
		add(t, giving(t), guess)
	}
	for _, t := range kept {
		add(t, keeping(t), countState{limit.Count{Reserved: 1}, true, ""})
	}
	for _, t := range counted {
		t.Guard = limit.GuardNone
		add(t, taking(t, 0), guessed(t))
	}
	ctx, cancel := s.writing(ctx)
	defer cancel()
	var buckets [][]change
	for _, of := range changes {
		buckets = append(buckets, of)
	}
	return unavailable(atOnce(len(buckets), func(i int) error {
		for _, c := range buckets[i] { // of one bucket in their order
			if err := s.change(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}))
}

// A variant is the write that fits what is stored, or an error: errGuard, or errNothing
// when there is nothing to do.
type variant func(countState) (write, error)

var errNothing = errors.New("nothing to do")

// A change of one count.
type change struct {
	name    string
	guess   countState
	variant variant
}

// change carries out a change by one UpdateItem, which has no token of its own: the item
// keeps one. So an attempt whose answer was lost is recognised, unless somebody else has
// changed the count since; then it counts twice, which leaks out.
func (s *Store) change(ctx context.Context, c change) error {
	state, own := c.guess, token()
	for attempt := 0; ; attempt++ {
		w, err := c.variant(state)
		switch {
		case errors.Is(err, errNothing):
			return nil
		case err != nil:
			return err
		}
		state, err = s.updateCount(ctx, w, own)
		if err == nil || !errors.Is(err, errStale) {
			return err
		}
		if state.token == own {
			return nil // done by an attempt whose answer was lost
		}
		if attempt > 1 { // others change it, too
			if err := backOff(ctx, attempt); err != nil {
				return fmt.Errorf("changing a count %d times among others: %w", attempt, err)
			}
		}
	}
}

// updateCount writes, or returns errStale with what is stored instead.
func (s *Store) updateCount(ctx context.Context, w write, own string) (countState, error) {
	w.update = "SET #Token = :token, " + w.update[len("SET "):]
	w.condition += " AND (attribute_not_exists(#Token) OR #Token <> :token)"
	w.values[":token"] = textOf(own)
	if err := checkSizes([]write{w}); err != nil {
		return countState{}, err
	}
	err := alone(ctx, func() error {
		_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: newItem(w.at), UpdateExpression: &w.update, ConditionExpression: &w.condition,
			ExpressionAttributeNames: names(w.update, w.condition), ExpressionAttributeValues: w.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		return err
	})
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		return countState{}, err
	}
	found := item(refused.Item)
	if len(found) == 0 { // there is none, or the emulator does not say
		if found, err = s.get(ctx, w.at); err != nil {
			return countState{}, err
		}
	}
	state, err := readCount(found)
	if err == nil {
		err = errStale
	}
	return state, err
}

// guessed is what a take has read, before it was taken.
func guessed(t limit.Take) countState {
	return countState{t.Was, t.Was != limit.Count{}, ""}
}

// taking fills a bucket as far as the guard lets it.
func taking(t limit.Take, reserved int64) variant {
	return func(state countState) (write, error) {
		if !holds(t, state.Count) {
			return write{}, errGuard
		}
		values := item{":at": momentOf(t.At), ":one": numberOf(reserved)}
		var update, condition string
		if micros(state.Empty) > micros(t.At) {
			condition = "#Empty > :at"
			update = "SET #Last = :at, #Empty = #Empty + :fade, #Expiry = #Expiry + :seconds ADD #Reserved :one"
			values[":fade"] = numberOf(t.Fade.Microseconds())
			values[":seconds"] = numberOf(int64(math.Ceil(t.Fade.Seconds())))
		} else {
			condition = "(attribute_not_exists(#Empty) OR #Empty <= :at)"
			update = "SET #Last = :at, #Empty = :empty, #Expiry = :expiry ADD #Reserved :one"
			values[":empty"] = numberOf(micros(t.At) + t.Fade.Microseconds())
			values[":expiry"] = numberOf(expirySeconds(t.At.Add(t.Fade), countMargin))
		}
		condition += guarding(t, values)
		return updating(countKey(t.Key), update, condition, values, errStale), nil
	}
}

// guarding is the rest of a condition, by the guard.
func guarding(t limit.Take, values item) string {
	switch t.Guard {
	case limit.GuardRoom:
		values[":most"] = momentOf(t.Most)
		return " AND (attribute_not_exists(#Empty) OR #Empty <= :most)"
	case limit.GuardUnchanged:
		if t.Was.Empty.IsZero() && t.Was.Last.IsZero() {
			return " AND attribute_not_exists(#Empty)"
		}
		values[":wasEmpty"], values[":wasLast"] = momentOf(t.Was.Empty), momentOf(t.Was.Last)
		return " AND #Empty = :wasEmpty AND #Last = :wasLast"
	}
	return ""
}

// holds reports whether the guard of a take holds, as guarding does.
func holds(t limit.Take, c limit.Count) bool {
	switch t.Guard {
	case limit.GuardRoom:
		return micros(c.Empty) <= micros(t.Most) || c.Empty.IsZero()
	case limit.GuardUnchanged:
		return micros(c.Empty) == micros(t.Was.Empty) && micros(c.Last) == micros(t.Was.Last)
	}
	return true
}

// giving gives a reservation back, and what Last was when nobody has taken since.
func giving(t limit.Take) variant {
	return func(state countState) (write, error) {
		if !state.stored {
			return write{}, errNothing
		}
		update, condition, values := "SET #Empty = #Empty - :fade", "attribute_exists(#Empty)", item{
			":fade": numberOf(t.Fade.Microseconds()), ":at": momentOf(t.At),
		}
		values[":made"] = momentOf(t.Made())
		if micros(state.Last) == micros(t.At) && micros(state.Empty) == micros(t.Made()) {
			update, condition = update+", #Last = :was", condition+" AND #Last = :at AND #Empty = :made"
			values[":was"] = momentOf(t.Was.Last)
		} else {
			condition += " AND (#Last <> :at OR #Empty <> :made)"
		}
		update, condition = fewer(update, condition, values, state)
		return updating(countKey(t.Key), update, condition, values, errStale), nil
	}
}

// fewer takes a reservation away where there is one.
func fewer(update, condition string, values item, state countState) (string, string) {
	values[":zero"] = numberOf(0)
	if state.Reserved <= 0 {
		return update, condition + " AND #Reserved <= :zero"
	}
	values[":minus"] = numberOf(-1)
	return update + " ADD #Reserved :minus", condition + " AND #Reserved > :zero"
}

// keeping leaves what was reserved in its bucket: it is under way no more.
func keeping(t limit.Take) variant {
	return func(state countState) (write, error) {
		if state.Reserved <= 0 {
			return write{}, errNothing
		}
		return updating(countKey(t.Key), "SET #Reserved = #Reserved - :one", "#Reserved > :zero",
			item{":one": numberOf(1), ":zero": numberOf(0)}, errStale), nil
	}
}
