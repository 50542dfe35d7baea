package dynamo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// An item is one as DynamoDB has it, or the values of an expression. What is empty has
// no attribute.
type item map[string]types.AttributeValue

func newItem(at key) item {
	it := item{}
	it.text(partition, at.partition)
	it.text(sort, at.sort)
	return it
}

func textOf(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func numberOf(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
func momentOf(t time.Time) types.AttributeValue { return numberOf(micros(t)) }

// bytesOf has another type for no bytes: not every emulator takes an empty value.
func bytesOf(b []byte) types.AttributeValue {
	if len(b) == 0 {
		return &types.AttributeValueMemberNULL{Value: true}
	}
	return &types.AttributeValueMemberB{Value: b}
}

func (it item) text(name, s string) {
	if s != "" {
		it[name] = textOf(s)
	}
}

// number is always there: it may be a guard.
func (it item) number(name string, n int64) { it[name] = numberOf(n) }

func (it item) flag(name string, b bool) {
	if b {
		it[name] = &types.AttributeValueMemberBOOL{Value: true}
	}
}

func (it item) bytes(name string, b []byte) {
	if len(b) > 0 {
		it[name] = bytesOf(b)
	}
}

func (it item) moment(name string, t time.Time) {
	if !t.IsZero() {
		it[name] = momentOf(t)
	}
}

func (it item) texts(name string, all []string) {
	if len(all) == 0 {
		return
	}
	list := &types.AttributeValueMemberL{}
	for _, s := range all {
		list.Value = append(list.Value, textOf(s))
	}
	it[name] = list
}

func (it item) dictionary(name string, all map[string]string) {
	if len(all) == 0 {
		return
	}
	m := &types.AttributeValueMemberM{Value: item{}}
	for k, v := range all {
		m.Value[k] = textOf(v)
	}
	it[name] = m
}

// expires has DynamoDB delete the item some time after the moment and the margin. The
// zero time is never.
func (it item) expires(t time.Time, margin time.Duration) {
	if !t.IsZero() {
		it.number(expiry, expirySeconds(t, margin))
	}
}

func expirySeconds(t time.Time, margin time.Duration) int64 {
	return max(1, t.Add(margin).Unix()+1)
}

func (it item) key() key {
	r := reader{it: it}
	return key{r.text(partition), r.text(sort)}
}

// A reader reads attributes. What is missing is empty; what is of another type is an
// error.
type reader struct {
	it  item
	err error
}

func (r *reader) wrong(name string, v types.AttributeValue) {
	if r.err == nil {
		r.err = fmt.Errorf("attribute %s of item %s cannot be read: %T", name, r.it.key().sort, v)
	}
}

func (r *reader) text(name string) string {
	switch v := r.it[name].(type) {
	case nil:
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		r.wrong(name, v)
	}
	return ""
}

func (r *reader) number(name string) int64 {
	switch v := r.it[name].(type) {
	case nil:
	case *types.AttributeValueMemberN:
		n, err := strconv.ParseInt(v.Value, 10, 64)
		if err != nil {
			r.wrong(name, v)
		}
		return n
	default:
		r.wrong(name, v)
	}
	return 0
}

func (r *reader) flag(name string) bool {
	v, ok := r.it[name].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

func (r *reader) bytes(name string) []byte {
	switch v := r.it[name].(type) {
	case nil, *types.AttributeValueMemberNULL:
	case *types.AttributeValueMemberB:
		return v.Value
	default:
		r.wrong(name, v)
	}
	return nil
}

func (r *reader) moment(name string) time.Time { return moment(r.number(name)) }

func (r *reader) texts(name string) (all []string) {
	switch v := r.it[name].(type) {
	case nil:
	case *types.AttributeValueMemberL:
		for i := range v.Value {
			all = append(all, (&reader{it: item{name: v.Value[i]}}).text(name))
		}
	default:
		r.wrong(name, v)
	}
	return all
}

func (r *reader) dictionary(name string) map[string]string {
	switch v := r.it[name].(type) {
	case nil:
	case *types.AttributeValueMemberM:
		all := make(map[string]string, len(v.Value))
		for k := range v.Value {
			all[k] = (&reader{it: v.Value}).text(k)
		}
		return all
	default:
		r.wrong(name, v)
	}
	return nil
}

// micros and moment convert between time.Time and an attribute; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// size is what DynamoDB counts of an item: the names and the values of its attributes.
func (it item) size() int {
	n := 0
	for name, v := range it {
		n += len(name) + sizeOf(v)
	}
	return n
}

func sizeOf(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *types.AttributeValueMemberL:
		n := 3
		for _, one := range v.Value {
			n += 1 + sizeOf(one)
		}
		return n
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + item(v.Value).size()
	}
	return 1
}

// tooLarge is the error of an item, or of the values of an update, that no table takes.
func tooLarge(what string, bytes, most int) error {
	return fmt.Errorf("%w: %s has %d bytes, DynamoDB takes %d", storage.ErrChanges, what, bytes, most)
}
