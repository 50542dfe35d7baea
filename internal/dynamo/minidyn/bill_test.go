package minidyn_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A bill is what requests would have consumed by the rules of DynamoDB's documentation:
// the sizes of the items that are stored, rounded up item by item; twice as much in a
// transaction, for a check as well; the larger of an item before and after. A read that
// finds nothing costs one unit, and so does a write.
type bill struct {
	mu       sync.Mutex
	requests []billed
}

// A billed request is one with the units of each item.
type billed struct {
	operation string
	charges   []charge
}

// A charge is the units of one item or, of a Query, of one page.
type charge struct {
	partition string
	read      int // consistent, of up to 4 KB
	write     int // of up to 1 KB
}

func (b *bill) add(r billed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
}

// take returns the requests so far, and begins anew.
func (b *bill) take() []billed {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.requests
	b.requests = nil
	return taken
}

func (r billed) units() (read, write int) {
	for _, c := range r.charges {
		read, write = read+c.read, write+c.write
	}
	return read, write
}

func unitsOf(bytes, unit int) int { return max(1, (bytes+unit-1)/unit) }

func readUnits(bytes int) int  { return unitsOf(bytes, 4<<10) }
func writeUnits(bytes int) int { return unitsOf(bytes, 1<<10) }

// charged carries out a request, and puts it on the bill.
func (l *layer) charged(b *bill, operation string, body []byte, f fault) (string, error) {
	writes, err := writesOf(operation, body)
	if err != nil {
		return "", err
	}
	before, err := l.sizes(writes)
	if err != nil {
		return "", err
	}
	answer, failed := l.carryOut(operation, body, f)
	after, err := l.sizes(writes)
	if err != nil {
		return "", err
	}
	r := billed{operation: operation}
	for i, w := range writes {
		r.charges = append(r.charges, charge{partition: *w.key["PK"].S, write: w.times * writeUnits(max(before[i], after[i]))})
	}
	if failed == nil {
		reads, err := readsOf(operation, body, answer)
		if err != nil {
			return "", err
		}
		r.charges = append(r.charges, reads...)
	}
	if len(r.charges) > 0 { // what makes and describes tables has none
		b.add(r)
	}
	return answer, failed
}

// A keyedWrite is of one item, so many times its units.
type keyedWrite struct {
	table string
	key   map[string]attribute
	times int
}

func keyOf(c call) map[string]attribute {
	at := c.Key
	if c.Item != nil {
		at = c.Item
	}
	return map[string]attribute{"PK": at["PK"], "SK": at["SK"]}
}

// writesOf are the items that a request writes or checks.
func writesOf(operation string, body []byte) (writes []keyedWrite, err error) {
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem":
		var c call
		err = json.Unmarshal(body, &c)
		writes = append(writes, keyedWrite{c.TableName, keyOf(c), 1})
	case "TransactWriteItems":
		var in struct{ TransactItems []map[string]call }
		err = json.Unmarshal(body, &in)
		for _, one := range in.TransactItems {
			for _, c := range one {
				writes = append(writes, keyedWrite{c.TableName, keyOf(c), 2})
			}
		}
	case "BatchWriteItem":
		return nil, fmt.Errorf("no request that is billed writes by %s", operation)
	}
	for _, w := range writes {
		if err == nil {
			err = checkKey(w.key, true)
		}
	}
	return writes, err
}

// sizes are those of the items as they are stored; of one that is not there, zero.
func (l *layer) sizes(writes []keyedWrite) ([]int, error) {
	sizes := make([]int, len(writes))
	for i, w := range writes {
		body, err := json.Marshal(map[string]any{"TableName": w.table, "Key": w.key, "ConsistentRead": true})
		if err != nil {
			return nil, err
		}
		answer, err := l.carryOut("GetItem", body, none)
		if err != nil {
			return nil, err
		}
		var found struct{ Item map[string]attribute }
		if err := json.Unmarshal([]byte(answer), &found); err != nil {
			return nil, err
		}
		sizes[i] = sizeOf(found.Item)
	}
	return sizes, nil
}

// readsOf are the reads of a request by its answer: of a Query all items of the page are
// added up, of a batch each one is rounded up.
func readsOf(operation string, body []byte, answer string) ([]charge, error) {
	switch operation {
	case "GetItem":
		var c call
		var out struct{ Item map[string]attribute }
		if err := unmarshal(body, &c, answer, &out); err != nil {
			return nil, err
		}
		return []charge{{partition: *c.Key["PK"].S, read: readUnits(sizeOf(out.Item))}}, nil
	case "BatchGetItem":
		var in struct{ RequestItems map[string]keysAndAttributes }
		var out struct {
			Responses map[string][]map[string]attribute
		}
		if err := unmarshal(body, &in, answer, &out); err != nil {
			return nil, err
		}
		var reads []charge
		for table, asked := range in.RequestItems {
			for _, key := range asked.Keys {
				size := 0
				if i := slices.IndexFunc(out.Responses[table], func(it map[string]attribute) bool { return placeOf(it) == placeOf(key) }); i >= 0 {
					size = sizeOf(out.Responses[table][i])
				}
				reads = append(reads, charge{partition: *key["PK"].S, read: readUnits(size)})
			}
		}
		return reads, nil
	case "Query":
		var c call
		var out struct{ Items []map[string]attribute }
		if err := unmarshal(body, &c, answer, &out); err != nil {
			return nil, err
		}
		if c.FilterExpression != nil {
			return nil, fmt.Errorf("a filter leaves out of the answer what is billed")
		}
		size := 0
		for _, it := range out.Items {
			size += sizeOf(it)
		}
		return []charge{{partition: partitionOf(c), read: readUnits(size)}}, nil
	case "Scan":
		return nil, fmt.Errorf("no request that is billed scans")
	}
	return nil, nil
}

func unmarshal(body []byte, in any, answer string, out any) error {
	if err := json.Unmarshal(body, in); err != nil {
		return err
	}
	return json.Unmarshal([]byte(answer), out)
}

// partitionOf is the partition of a Query, whose key condition begins with it.
func partitionOf(c call) string {
	_, rest, _ := strings.Cut(*c.KeyConditionExpression, "= ")
	name, _, _ := strings.Cut(rest, " ")
	if v := c.ExpressionAttributeValues[name]; v.S != nil {
		return *v.S
	}
	return ""
}
