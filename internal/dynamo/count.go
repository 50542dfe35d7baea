package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// countMargin is how long a count stays after it has leaked out.
const countMargin = 7 * 24 * time.Hour

// An expression of DynamoDB knows no maximum. So each change of a count has variants, one
// for each case of what is stored; the condition of a variant says its case, and which
// one is tried first is a guess by what was read. A wrong guess costs another attempt.

// A countState is what a variant depends on.
type countState struct {
	limit.Count
	stored bool   // something was taken; an Empty of zero is what undoing leaves of the first take
	token  string // of whoever has changed it last
}

func readCount(it item) (countState, error) {
	r := &reader{it: it}
	c := limit.Count{Empty: r.moment("Empty"), Last: r.moment("Last"), Reserved: r.number("Reserved")}
	return countState{c, !c.Empty.IsZero(), r.text("Token")}, r.err
}

// Counts returns the counts of keys, and when a mark expires, by one BatchGetItem.
func (s *Store) Counts(ctx context.Context, names []string, mark string) ([]limit.Count, time.Time, error) {
	keys := make([]key, len(names), len(names)+1)
	for i, name := range names {
		keys[i] = countKey(name)
	}
	at := markKey(storage.MarkID(mark))
	if mark != "" {
		keys = append(keys, at)
	}
	ctx, cancel := s.reading(ctx)
	defer cancel()
	found, err := s.getAll(ctx, keys)
	if err != nil {
		return nil, time.Time{}, err
	}
	counts := make([]limit.Count, len(names))
	for i := range names {
		state, err := readCount(found[keys[i]])
		if err != nil {
			return nil, time.Time{}, unavailable(err)
		}
		counts[i] = state.Count
	}
	m, err := readMark(found[at])
	return counts, m.ExpiresAt, unavailable(err)
}

// errGuard: a take whose guard does not hold.
var errGuard = errors.New("guard does not hold")

// Take takes from each bucket by an UpdateItem, all at the same time: a transaction would
// cost twice as much, and fail where takes of one bucket meet. When a guard does not hold,
// it undoes what it has taken from the others. Until then takes that meet may refuse each
// other.
func (s *Store) Take(ctx context.Context, takes []limit.Take) (bool, error) {
	var refused atomic.Bool
	undo := make([]change, len(takes))
	taking, cancel := s.writing(ctx)
	defer cancel()
	err := atOnce(len(takes), func(i int) error {
		t := takes[i]
		before, err := s.change(taking, change{t.Key, guessed(t), filling(t, 1)})
		switch {
		case errors.Is(err, errGuard):
			refused.Store(true)
			return nil
		case err == nil:
			undo[i] = undoing(t, before)
		}
		return err
	})
	if err == nil && !refused.Load() {
		return true, nil
	}
	undoing, cancel := s.writing(ctx)
	defer cancel()
	undone := atOnce(len(undo), func(i int) error {
		if undo[i].variant == nil {
			return nil
		}
		_, err := s.change(undoing, undo[i])
		return err
	})
	return false, unavailable(errors.Join(err, undone))
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
		add(t, filling(t, 0), guessed(t))
	}
	ctx, cancel := s.writing(ctx)
	defer cancel()
	var buckets [][]change
	for _, of := range changes {
		buckets = append(buckets, of)
	}
	return unavailable(atOnce(len(buckets), func(i int) error {
		for _, c := range buckets[i] { // of one bucket in their order
			if _, err := s.change(ctx, c); err != nil {
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
// changed the count since. Then it is carried out twice: a take leaks out, and what is
// given back twice makes room for one attempt more. It returns what was stored before, as
// far as that is known.
func (s *Store) change(ctx context.Context, c change) (before countState, err error) {
	state, own := c.guess, token()
	for attempt := 0; ; attempt++ {
		w, err := c.variant(state)
		switch {
		case errors.Is(err, errNothing):
			return state, nil
		case err != nil:
			return state, err
		}
		found, err := s.updateCount(ctx, w, own)
		if err == nil || !errors.Is(err, errStale) {
			return found, err
		}
		if found.token == own {
			return state, nil // done by an attempt whose answer was lost
		}
		state = found
		if attempt > 1 { // others change it, too
			if err := backOff(ctx, attempt); err != nil {
				return state, fmt.Errorf("changing a count %d times among others: %w", attempt, err)
			}
		}
	}
}

// updateCount writes and returns what was stored before, or errStale with what is stored
// instead.
func (s *Store) updateCount(ctx context.Context, w write, own string) (countState, error) {
	w.update = "SET #Token = :token, " + w.update[len("SET "):]
	w.condition += " AND (attribute_not_exists(#Token) OR #Token <> :token)"
	w.values[":token"] = textOf(own)
	if err := checkSizes([]write{w}); err != nil {
		return countState{}, err
	}
	var out *dynamodb.UpdateItemOutput
	err := alone(ctx, func() (err error) {
		out, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: newItem(w.at), UpdateExpression: &w.update, ConditionExpression: &w.condition,
			ExpressionAttributeNames: names(w.update, w.condition), ExpressionAttributeValues: w.values,
			ReturnValues: types.ReturnValueAllOld, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		return err
	})
	if err == nil {
		return readCount(out.Attributes)
	}
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

// filling fills a bucket as far as the guard lets it.
func filling(t limit.Take, reserved int64) variant {
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
			values[":none"] = numberOf(0)
			return " AND (attribute_not_exists(#Empty) OR #Empty = :none)"
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

// undoing takes a reservation back, as if it had never been: what was stored before is
// stored again, unless others have changed the count since.
func undoing(t limit.Take, before countState) change {
	t.Was = before.Count
	made := limit.Count{Empty: t.Made(), Last: t.At, Reserved: before.Reserved + 1}
	variant := func(state countState) (write, error) {
		if !same(state.Count, made) {
			return giving(t)(state)
		}
		return updating(countKey(t.Key), "SET #Empty = :empty, #Last = :last, #Reserved = :was",
			"#Empty = :made AND #Last = :at AND #Reserved = :reserved",
			item{
				":empty": momentOf(before.Empty), ":last": momentOf(before.Last), ":was": numberOf(before.Reserved),
				":made": momentOf(made.Empty), ":at": momentOf(made.Last), ":reserved": numberOf(made.Reserved),
			}, errStale), nil
	}
	return change{t.Key, countState{made, true, ""}, variant}
}

// same reports whether two counts are stored as the same one.
func same(a, b limit.Count) bool {
	return micros(a.Empty) == micros(b.Empty) && micros(a.Last) == micros(b.Last) && a.Reserved == b.Reserved
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
