package minidyn_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A layer stands between the SDK and an emulator, minidyn unless a test says otherwise. It refuses what DynamoDB refuses, has the
// operations that minidyn has not, and makes the faults that tests ask for.
type layer struct {
	engine engine
	page   int // the most items of a page; zero: mostOfPage
	url    string

	mu       sync.Mutex
	tokens   map[string]transaction // by ClientRequestToken
	expire   bool
	recovery bool                   // point-in-time recovery is on
	ahead    time.Duration          // of the clock that answers are dated by
	calls    []string               // the operations that have arrived
	bill     *bill                  // what they would have cost; nil: nobody asks
	before   func(operation string) // what happens before a call is carried out; nil: nothing
	// fault says what becomes of a call; nil: nothing. n counts the calls of an operation.
	fault func(operation string, n int) fault
}

// An engine carries out requests that the layer has checked.
type engine interface {
	carryOut(operation string, body []byte) (answer string, err error)
}

// A transaction is one that was carried out.
type transaction struct{ content, answer string }

type fault int

const (
	none       fault = iota
	lost             // it is carried out, and the connection ends before the answer
	refused          // the connection ends before it is carried out
	throttled        // ThrottlingException
	exceeded         // ProvisionedThroughputExceededException
	broken           // InternalServerError
	denied           // AccessDeniedException
	conflict         // TransactionConflict, as the kind of call has it
	inProgress       // TransactionInProgressException
	silent           // no answer comes
	partial          // of a batch only the first half is read
)

func newLayer() *layer { return &layer{engine: newBuckets(), tokens: map[string]transaction{}} }

// An awsError is an answer that is none of success.
type awsError struct {
	status int
	kind   string
	text   string
	extra  map[string]any
}

func (e *awsError) Error() string { return e.kind + ": " + e.text }

func invalid(format string, args ...any) error {
	return &awsError{400, "ValidationException", fmt.Sprintf(format, args...), nil}
}

func (l *layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f := l.arrived(operation)
	var before func(string)
	l.set(func() { before = l.before })
	if before != nil {
		before(operation)
	}
	l.set(func() { w.Header().Set("Date", time.Now().Add(l.ahead).UTC().Format(http.TimeFormat)) })
	if answer := f.answer(operation, body); answer != nil {
		writeError(w, answer)
		return
	}
	switch f {
	case refused:
		hangUp(w)
		return
	case silent:
		<-r.Context().Done()
		return
	}
	var b *bill
	l.set(func() { b = l.bill })
	answer, err := "", error(nil)
	if b == nil {
		answer, err = l.carryOut(operation, body, f)
	} else {
		answer, err = l.charged(b, operation, body, f)
	}
	switch {
	case f == lost:
		hangUp(w)
	case err != nil:
		writeError(w, err)
	default:
		write(w, http.StatusOK, []byte(answer))
	}
}

func (l *layer) arrived(operation string) fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, call := range l.calls {
		if call == operation {
			n++
		}
	}
	l.calls = append(l.calls, operation)
	if l.fault == nil {
		return none
	}
	return l.fault(operation, n)
}

// set changes what the table is like.
func (l *layer) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// have sets what becomes of calls from now on, and forgets those that have arrived.
func (l *layer) have(f func(operation string, n int) fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.calls = f, nil
}

func (l *layer) arrivals() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// answer is that of a fault that DynamoDB reports; nil: it is none.
func (f fault) answer(operation string, body []byte) error {
	switch f {
	case throttled:
		return &awsError{400, "ThrottlingException", "Rate of requests exceeds the allowed throughput.", nil}
	case exceeded:
		return &awsError{400, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded.", nil}
	case broken:
		return &awsError{500, "InternalServerError", "The request processing has failed.", nil}
	case denied:
		return &awsError{400, "AccessDeniedException", "User is not authorized to perform: dynamodb:" + operation + " on resource: table/latchkey", nil}
	case inProgress:
		return &awsError{400, "TransactionInProgressException", "The transaction with the given request token is already in progress.", nil}
	case conflict:
		if slices.Contains([]string{"GetItem", "BatchGetItem", "Query", "Scan"}, operation) {
			return nil // these never meet a transaction
		}
		if operation != "TransactWriteItems" { // BatchWriteItem may say the same of one of its items
			return &awsError{400, "TransactionConflictException", "Transaction is ongoing for the item", nil}
		}
		var in transactWrite
		_ = json.Unmarshal(body, &in)
		reasons := make([]map[string]string, len(in.TransactItems))
		for i := range reasons {
			reasons[i] = map[string]string{"Code": "None"}
		}
		reasons[len(reasons)-1] = map[string]string{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
		return &awsError{400, "TransactionCanceledException", "Transaction cancelled", map[string]any{"CancellationReasons": reasons}}
	}
	return nil
}

func writeError(w http.ResponseWriter, err error) {
	e, ok := err.(*awsError)
	if !ok {
		e = &awsError{500, "InternalServerError", err.Error(), nil}
	}
	body := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + e.kind, "message": e.text}
	for k, v := range e.extra {
		body[k] = v
	}
	text, _ := json.Marshal(body)
	write(w, e.status, text)
}

// write answers with the checksum that the SDK verifies.
func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	w.Write(body)
}

func hangUp(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

func (l *layer) carryOut(operation string, body []byte, f fault) (string, error) {
	switch operation {
	case "DescribeTimeToLive":
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.expire {
			return `{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"Expiry"}}`, nil
		}
		return `{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`, nil
	case "DescribeContinuousBackups":
		l.mu.Lock()
		defer l.mu.Unlock()
		status := "DISABLED"
		if l.recovery {
			status = "ENABLED"
		}
		return `{"ContinuousBackupsDescription":{"ContinuousBackupsStatus":"ENABLED","PointInTimeRecoveryDescription":{"PointInTimeRecoveryStatus":"` + status + `"}}}`, nil
	case "UpdateTimeToLive":
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.expire {
			return "", invalid("TimeToLive is already enabled")
		}
		l.expire = true
		return `{}`, nil
	case "TransactWriteItems":
		return l.transact(body)
	case "CreateTable", "DescribeTable":
	case "BatchGetItem":
		return l.batch(body, f)
	case "BatchWriteItem":
		return l.batchWrite(body, f)
	case "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan":
		if err := checkCall(operation, body); err != nil {
			return "", err
		}
		if operation == "Query" || operation == "Scan" {
			answer, err := l.engine.carryOut(operation, shortPage(body, cmp.Or(l.page, mostOfPage)))
			return withItems(answer), err
		}
	default:
		return "", invalid("the store does not call %s", operation)
	}
	return l.engine.carryOut(operation, body)
}

// withItems has an answer without items say so, as DynamoDB does: minidyn leaves the list out.
func withItems(answer string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(answer), &members) != nil || members["Items"] != nil {
		return answer
	}
	members["Items"] = json.RawMessage("[]")
	whole, err := json.Marshal(members)
	if err != nil {
		return answer
	}
	return string(whole)
}

// transact remembers what was carried out under which token, for as long as the test.
func (l *layer) transact(body []byte) (string, error) {
	var in transactWrite
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	if in.ClientRequestToken == "" || len(in.ClientRequestToken) > 36 {
		return "", invalid("ClientRequestToken has %d characters", len(in.ClientRequestToken))
	}
	content := canonical(body)
	l.mu.Lock()
	defer l.mu.Unlock()
	if done, ok := l.tokens[in.ClientRequestToken]; ok {
		if done.content != content {
			return "", &awsError{400, "IdempotentParameterMismatchException", "the token was used with other content", nil}
		}
		return done.answer, nil
	}
	if err := in.check(); err != nil {
		return "", err
	}
	answer, err := l.engine.carryOut("TransactWriteItems", body)
	if err == nil {
		l.tokens[in.ClientRequestToken] = transaction{content, answer}
	}
	return answer, err
}

// canonical is the same for the same content: the SDK writes maps in any order.
func canonical(body []byte) string {
	var v any
	_ = json.Unmarshal(body, &v)
	text, _ := json.Marshal(v)
	return string(text)
}

// batch reads half of it if the test asks for that.
func (l *layer) batch(body []byte, f fault) (string, error) {
	var in struct{ RequestItems map[string]keysAndAttributes }
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	left := map[string]keysAndAttributes{}
	for table, asked := range in.RequestItems {
		if err := asked.check(); err != nil {
			return "", err
		}
		if n := (len(asked.Keys) + 1) / 2; f == partial && len(asked.Keys) > 1 {
			left[table] = keysAndAttributes{asked.Keys[n:], asked.ConsistentRead}
			asked.Keys = asked.Keys[:n]
			in.RequestItems[table] = asked
		}
	}
	some, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	answer, err := l.engine.carryOut("BatchGetItem", some)
	if err != nil || len(left) == 0 {
		return answer, err
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		return "", err
	}
	out["UnprocessedKeys"] = left
	whole, err := json.Marshal(out)
	return string(whole), err
}

// batchWrite carries out half of it if the test asks for that.
func (l *layer) batchWrite(body []byte, f fault) (string, error) {
	type request struct {
		PutRequest    *struct{ Item map[string]attribute }
		DeleteRequest *struct{ Key map[string]attribute }
	}
	var in struct{ RequestItems map[string][]json.RawMessage }
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	left := map[string][]json.RawMessage{}
	for table, requests := range in.RequestItems {
		if len(requests) == 0 || len(requests) > 25 {
			return "", invalid("Too many items requested for the BatchWriteItem call: %d", len(requests))
		}
		total, seen := 0, map[string]bool{}
		for _, raw := range requests {
			var r request
			if err := json.Unmarshal(raw, &r); err != nil {
				return "", err
			}
			var c call
			switch {
			case r.PutRequest != nil && r.DeleteRequest == nil:
				c.Item = r.PutRequest.Item
			case r.DeleteRequest != nil && r.PutRequest == nil:
				c.Key = r.DeleteRequest.Key
			default:
				return "", invalid("a request is either a put or a delete")
			}
			if err := c.check(true); err != nil {
				return "", err
			}
			at := c.Key
			if c.Item != nil {
				at = c.Item
			}
			if seen[placeOf(at)] {
				return "", invalid("Provided list of item keys contains duplicates")
			}
			seen[placeOf(at)] = true
			total += c.size()
		}
		if total > 16<<20 {
			return "", invalid("the batch has %d bytes", total)
		}
		if n := (len(requests) + 1) / 2; f == partial && len(requests) > 1 {
			in.RequestItems[table], left[table] = requests[:n], requests[n:]
		}
	}
	some, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	answer, err := l.engine.carryOut("BatchWriteItem", some)
	if err != nil || len(left) == 0 {
		return answer, err
	}
	whole, err := json.Marshal(map[string]any{"UnprocessedItems": left})
	return string(whole), err
}

// mostOfPage is how many items a page of the layer has, in place of DynamoDB's 1 MB, unless
// the layer says otherwise.
const mostOfPage = 40

func shortPage(body []byte, most int) []byte {
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	if n, ok := in["Limit"].(float64); !ok || n > float64(most) {
		in["Limit"] = most
	}
	short, _ := json.Marshal(in)
	return short
}

// An attribute is one as it is on the wire.
type attribute struct {
	S    *string              `json:",omitempty"`
	N    *string              `json:",omitempty"`
	B    *string              `json:",omitempty"`
	BOOL *bool                `json:",omitempty"`
	NULL *bool                `json:",omitempty"`
	L    []attribute          `json:",omitempty"`
	M    map[string]attribute `json:",omitempty"`
}

func (a attribute) size() int {
	switch {
	case a.S != nil:
		return len(*a.S)
	case a.N != nil:
		return len(*a.N)/2 + 1
	case a.B != nil:
		raw, _ := base64.StdEncoding.DecodeString(*a.B)
		return len(raw)
	case a.M != nil:
		return 3 + sizeOf(a.M)
	case a.L != nil:
		n := 3
		for _, one := range a.L {
			n += 1 + one.size()
		}
		return n
	}
	return 1
}

func sizeOf(item map[string]attribute) int {
	n := 0
	for name, a := range item {
		n += len(name) + a.size()
	}
	return n
}

type keysAndAttributes struct {
	Keys           []map[string]attribute
	ConsistentRead bool
}

func (k keysAndAttributes) check() error {
	seen := map[string]bool{}
	for _, one := range k.Keys {
		if err := checkKey(one, true); err != nil {
			return err
		}
		if at := placeOf(one); seen[at] {
			return invalid("Provided list of item keys contains duplicates")
		} else {
			seen[at] = true
		}
	}
	switch {
	case len(k.Keys) == 0 || len(k.Keys) > 100:
		return invalid("Too many items requested for the BatchGetItem call: %d", len(k.Keys))
	case !k.ConsistentRead:
		return invalid("an eventually consistent read: the store makes none")
	}
	return nil
}

// checkKey refuses keys that no table of this schema has.
func checkKey(item map[string]attribute, alone bool) error {
	for name, most := range map[string]int{"PK": 2048, "SK": 1024} {
		a, ok := item[name]
		switch {
		case !ok || a.S == nil:
			return invalid("key attribute %s is missing, or no text", name)
		case *a.S == "":
			return invalid("key attribute %s is empty", name)
		case len(*a.S) > most:
			return invalid("key attribute %s has %d bytes, more than %d", name, len(*a.S), most)
		}
	}
	if alone && len(item) != 2 {
		return invalid("a key has the key attributes and no others")
	}
	return nil
}

func placeOf(item map[string]attribute) string {
	return fmt.Sprintf("%q %q", *item["PK"].S, *item["SK"].S)
}

// A call is what all of them have.
type call struct {
	TableName                                                     string
	Item, Key                                                     map[string]attribute
	ConditionExpression, UpdateExpression, KeyConditionExpression *string
	FilterExpression, ProjectionExpression                        *string
	ExpressionAttributeNames                                      map[string]string
	ExpressionAttributeValues                                     map[string]attribute
	ConsistentRead                                                bool
	ExclusiveStartKey                                             map[string]attribute
}

func checkCall(operation string, body []byte) error {
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		return err
	}
	switch operation {
	case "GetItem", "Query", "Scan":
		if !c.ConsistentRead {
			return invalid("an eventually consistent read: the store makes none")
		}
	}
	if operation == "Query" {
		for _, v := range c.ExpressionAttributeValues {
			if v.S == nil || *v.S == "" || len(*v.S) > 2048 {
				return invalid("One or more parameter values are not valid: a key value of a query is empty or too long")
			}
		}
	}
	// An empty map is refused, a missing one is not.
	var raw map[string]json.RawMessage
	_ = json.Unmarshal(body, &raw)
	for _, name := range []string{"ExpressionAttributeNames", "ExpressionAttributeValues"} {
		if strings.TrimSpace(string(raw[name])) == "{}" {
			return invalid("%s must not be empty", name)
		}
	}
	return c.check(operation != "Query" && operation != "Scan")
}

// size is what is written, as far as the request says.
func (c call) size() int { return sizeOf(c.Item) + sizeOf(c.Key) + sizeOf(c.ExpressionAttributeValues) }

func (c call) check(keyed bool) error {
	if c.Item != nil {
		if err := checkKey(c.Item, false); err != nil {
			return err
		}
	} else if keyed {
		if err := checkKey(c.Key, true); err != nil {
			return err
		}
	}
	if c.size() > 400<<10 {
		return invalid("Item size has exceeded the maximum allowed size: %d", c.size())
	}
	var text string
	for _, expression := range []*string{c.ConditionExpression, c.UpdateExpression, c.KeyConditionExpression, c.FilterExpression, c.ProjectionExpression} {
		if expression == nil {
			continue
		}
		if *expression == "" || len(*expression) > 4096 {
			return invalid("an expression has %d bytes", len(*expression))
		}
		text += " " + *expression
	}
	return c.checkWords(text)
}

var words = regexp.MustCompile(`[#:]?[A-Za-z_][A-Za-z0-9_]*`)

// keywords are all that may stand in an expression without # or :. So nothing depends on
// which words DynamoDB reserves.
var keywords = []string{
	"SET", "ADD", "REMOVE", "DELETE", "AND", "OR", "NOT", "BETWEEN",
	"attribute_exists", "attribute_not_exists", "if_not_exists", "begins_with",
}

func (c call) checkWords(text string) error {
	used := map[string]bool{}
	for _, word := range words.FindAllString(text, -1) {
		switch _, named := c.ExpressionAttributeNames[word]; {
		case word[0] == '#' && !named:
			return invalid("An expression attribute name used in the document path is not defined; attribute name: %s", word)
		case word[0] != '#' && word[0] != ':' && !slices.Contains(keywords, word):
			return invalid("%s may be a reserved word", word)
		}
		if _, valued := c.ExpressionAttributeValues[word]; word[0] == ':' && !valued {
			return invalid("An expression attribute value used in expression is not defined; attribute value: %s", word)
		}
		used[word] = true
	}
	for name := range c.ExpressionAttributeNames {
		if !used[name] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range c.ExpressionAttributeValues {
		if !used[name] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

type transactWrite struct {
	ClientRequestToken string
	TransactItems      []map[string]json.RawMessage
}

func (t transactWrite) check() error {
	if n := len(t.TransactItems); n == 0 || n > 100 {
		return invalid("Member must have length less than or equal to 100, not %d", n)
	}
	total, seen := 0, map[string]bool{}
	for _, one := range t.TransactItems {
		if len(one) != 1 {
			return invalid("TransactItems can only contain one of Check, Put, Update or Delete")
		}
		for kind, raw := range one {
			if err := checkCall(kind, raw); err != nil {
				return err
			}
			var c call
			if err := json.Unmarshal(raw, &c); err != nil {
				return err
			}
			if kind == "ConditionCheck" && c.ConditionExpression == nil {
				return invalid("a ConditionCheck needs a condition")
			}
			at := c.Key
			if c.Item != nil {
				at = c.Item
			}
			if place := placeOf(at); seen[place] {
				return invalid("Transaction request cannot include multiple operations on one item")
			} else {
				seen[place] = true
			}
			total += c.size()
		}
	}
	if total > 4<<20 {
		return invalid("Collection size exceeded: %d bytes", total)
	}
	return nil
}
