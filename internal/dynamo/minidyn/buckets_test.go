package minidyn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/truora/minidyn/server"
)

// mostBuckets is over how many of minidyn's tables one table is spread, by the hash of the
// partition key. minidyn copies a table for each transaction, sorts its keys after each new
// item, and walks through all of it for each query: that must not grow with what is stored.
const mostBuckets = 4096

// buckets have minidyn carry out operations on tables that are spread. No caller sees that
// they are.
type buckets struct {
	emulator http.Handler

	// mu is held by all calls, and alone by those that make tables: minidyn does not
	// guard its list of them.
	mu     sync.RWMutex
	tables map[string]*spreadTable // by name
}

// A spreadTable is one table.
type spreadTable struct {
	create map[string]json.RawMessage // the request that has made it
	made   map[uint32]bool            // its buckets that are there
}

func newBuckets() *buckets {
	return &buckets{emulator: server.NewServer(), tables: make(map[string]*spreadTable)}
}

// carryOut is for requests that the layer has checked.
func (b *buckets) carryOut(operation string, body []byte) (string, error) {
	switch operation {
	case "CreateTable":
		return b.createTable(body)
	case "DescribeTable":
		b.mu.RLock()
		defer b.mu.RUnlock()
		return b.emulate(operation, body)
	case "TransactWriteItems":
		return b.transact(body)
	case "BatchGetItem":
		return b.batch(operation, body, "Keys")
	case "BatchWriteItem":
		return b.batch(operation, body, "")
	case "Scan":
		return b.scan(body)
	}
	placed, err := b.place(body)
	if err != nil {
		return "", err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.emulate(operation, placed)
}

// createTable makes the table that stands for all of its buckets, and stays empty.
func (b *buckets) createTable(body []byte) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	answer, err := b.emulate("CreateTable", body)
	if err != nil {
		return "", err
	}
	t := &spreadTable{made: make(map[uint32]bool)}
	if err := json.Unmarshal(body, &t.create); err != nil {
		return "", err
	}
	name, err := nameIn(t.create)
	b.tables[name] = t
	return answer, err
}

func nameIn(request map[string]json.RawMessage) (name string, err error) {
	err = json.Unmarshal(request["TableName"], &name)
	return name, err
}

func bucketOf(partition string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(partition))
	return h.Sum32() % mostBuckets
}

// bucketName is the name that minidyn knows a bucket by. They are in the order of the
// buckets.
func bucketName(table string, n uint32) string { return fmt.Sprintf("%s/%04d", table, n) }

// bucket returns the name of the table in which a partition is, and makes it. A table that
// is not there keeps its name, and is missed by minidyn.
func (b *buckets) bucket(table, partition string) (string, error) {
	n := bucketOf(partition)
	b.mu.RLock()
	t := b.tables[table]
	made := t != nil && t.made[n]
	b.mu.RUnlock()
	name := bucketName(table, n)
	switch {
	case t == nil:
		return table, nil
	case made:
		return name, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.made[n] {
		return name, nil
	}
	request := maps.Clone(t.create)
	request["TableName"] = raw(name)
	if _, err := b.emulate("CreateTable", raw(request)); err != nil {
		return "", err
	}
	t.made[n] = true
	return name, nil
}

// raw is the JSON of what has one.
func raw(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// partitionIs is how every query names its partition.
var partitionIs = regexp.MustCompile(`^#PK = (:\w+)`)

// place has a request for one item, or a query, ask the bucket of its partition.
func (b *buckets) place(request []byte) (json.RawMessage, error) {
	var c call
	var members map[string]json.RawMessage
	if err := json.Unmarshal(request, &c); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(request, &members); err != nil {
		return nil, err
	}
	at := c.Key["PK"].S
	if c.Item != nil {
		at = c.Item["PK"].S
	}
	if c.KeyConditionExpression != nil {
		if m := partitionIs.FindStringSubmatch(*c.KeyConditionExpression); m != nil {
			at = c.ExpressionAttributeValues[m[1]].S
		}
	}
	if at == nil {
		return nil, invalid("no partition key in %s", request)
	}
	name, err := b.bucket(c.TableName, *at)
	members["TableName"] = raw(name)
	return raw(members), err
}

// transact spreads a transaction over the buckets of its items.
func (b *buckets) transact(body []byte) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return "", err
	}
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(members["TransactItems"], &items); err != nil {
		return "", err
	}
	for _, one := range items {
		for kind, request := range one {
			var err error
			if one[kind], err = b.place(request); err != nil {
				return "", err
			}
		}
	}
	members["TransactItems"] = raw(items)
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.emulate("TransactWriteItems", raw(members))
}

// batch spreads a batch over buckets. Its requests are a list, or the list of that name.
func (b *buckets) batch(operation string, body []byte, list string) (string, error) {
	var in struct{ RequestItems map[string]json.RawMessage }
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	spread := make(map[string]json.RawMessage)
	owner := make(map[string]string) // of a bucket
	for table, requests := range in.RequestItems {
		others := make(map[string]json.RawMessage) // what holds for all
		if list != "" {
			if err := json.Unmarshal(requests, &others); err != nil {
				return "", err
			}
			requests = others[list]
		}
		var all []json.RawMessage
		if err := json.Unmarshal(requests, &all); err != nil {
			return "", err
		}
		byBucket := make(map[string][]json.RawMessage)
		for _, one := range all {
			name, err := b.bucketOfRequest(table, one)
			if err != nil {
				return "", err
			}
			byBucket[name] = append(byBucket[name], one)
		}
		for name, some := range byBucket {
			owner[name], spread[name] = table, raw(some)
			if list != "" {
				others[list] = spread[name]
				spread[name] = raw(others)
			}
		}
	}
	b.mu.RLock()
	answer, err := b.emulate(operation, raw(map[string]any{"RequestItems": spread}))
	b.mu.RUnlock()
	if err != nil || operation == "BatchWriteItem" {
		return answer, err
	}
	var out struct{ Responses map[string][]json.RawMessage }
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		return "", err
	}
	whole := make(map[string][]json.RawMessage)
	for name, items := range out.Responses {
		whole[owner[name]] = append(whole[owner[name]], items...)
	}
	return string(raw(map[string]any{"Responses": whole})), nil
}

// bucketOfRequest is that of a key, or of a write of a batch.
func (b *buckets) bucketOfRequest(table string, request []byte) (string, error) {
	var r struct {
		PK            attribute
		PutRequest    struct{ Item struct{ PK attribute } }
		DeleteRequest struct{ Key struct{ PK attribute } }
	}
	if err := json.Unmarshal(request, &r); err != nil {
		return "", err
	}
	for _, at := range []*string{r.PK.S, r.PutRequest.Item.PK.S, r.DeleteRequest.Key.PK.S} {
		if at != nil {
			return b.bucket(table, *at)
		}
	}
	return "", invalid("no partition key in %s", request)
}

// scan reads one bucket after the other until the page is full.
func (b *buckets) scan(body []byte) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return "", err
	}
	table, err := nameIn(members)
	if err != nil {
		return "", err
	}
	var in struct {
		Limit             *int
		ExclusiveStartKey map[string]attribute
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	first := uint32(0)
	if at := in.ExclusiveStartKey["PK"].S; at != nil {
		first = bucketOf(*at)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.tables[table] == nil {
		return b.emulate("Scan", body)
	}
	page := scanned{Items: []json.RawMessage{}}
	for _, n := range slices.Sorted(maps.Keys(b.tables[table].made)) {
		if n < first {
			continue
		}
		members["TableName"] = raw(bucketName(table, n))
		if in.Limit != nil {
			members["Limit"] = raw(*in.Limit - page.Count) // what is read, for no scan has a filter
		}
		answer, err := b.emulate("Scan", raw(members))
		if err != nil {
			return "", err
		}
		var some scanned
		if err := json.Unmarshal([]byte(answer), &some); err != nil {
			return "", err
		}
		page.Items = append(page.Items, some.Items...)
		page.Count += some.Count
		if len(some.LastEvaluatedKey) > 0 {
			page.LastEvaluatedKey = some.LastEvaluatedKey
			break
		}
		delete(members, "ExclusiveStartKey")
	}
	return string(raw(page)), nil
}

type scanned struct {
	Items            []json.RawMessage
	Count            int
	LastEvaluatedKey map[string]json.RawMessage `json:",omitempty"`
}

// emulate has minidyn carry it out; mu is held.
func (b *buckets) emulate(operation string, body []byte) (string, error) {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	w := httptest.NewRecorder()
	b.emulator.ServeHTTP(w, r)
	return answerOf(w.Code, w.Body.Bytes())
}

// answerOf reads the answer of an emulator.
func answerOf(status int, body []byte) (string, error) {
	if status == http.StatusOK {
		return string(body), nil
	}
	e := &awsError{status: status, extra: map[string]any{}}
	if err := json.Unmarshal(body, &e.extra); err != nil {
		return "", fmt.Errorf("the emulator: %s", body)
	}
	e.kind, _ = e.extra["__type"].(string)
	e.text, _ = e.extra["message"].(string)
	e.kind = e.kind[strings.LastIndex(e.kind, "#")+1:]
	delete(e.extra, "__type")
	delete(e.extra, "message")
	return "", e
}
