package minidyn_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/dynamo"
)

// dynaliteVersion is of npm's dynalite, another emulator. It knows the words that DynamoDB
// reserves, sizes, and the errors of expressions, and no transactions.
const dynaliteVersion = "4.0.0"

// noDynalite skips on a machine that lacks a part, and fails where it has to be there.
func noDynalite(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf("SKIPPED, dynalite does not judge: "+format, args...)
}

// dynalite is an engine that has the real one carry out all but transactions. Of those it
// carries out one write after the other, and takes back those of one that is refused: each
// is judged as it would be in a transaction.
type dynalite struct {
	url string
	mu  sync.Mutex // nobody sees half a transaction
}

// runDynalite starts it. It ends with its standard input, so with this process at the latest.
const runDynalite = `const s = require(process.argv[1])({createTableMs: 0}).listen(0, '127.0.0.1', () => console.log(s.address().port))
process.stdin.resume().on('end', () => process.exit())`

func startDynalite(t *testing.T) *dynalite {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			noDynalite(t, "%s is not installed", name)
		}
	}
	dir := t.TempDir()
	out, err := exec.Command("npm", "install", "--prefix", dir, "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "dynalite@"+dynaliteVersion).CombinedOutput()
	if err != nil {
		noDynalite(t, "npm install dynalite: %v\n%s", err, out)
	}
	cmd := exec.Command("node", "-e", runDynalite, filepath.Join(dir, "node_modules", "dynalite"))
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	port, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatalf("dynalite does not start: %v", err)
	}
	return &dynalite{url: "http://127.0.0.1:" + strings.TrimSpace(port)}
}

func (d *dynalite) carryOut(operation string, body []byte) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if operation == "TransactWriteItems" {
		return d.transact(body)
	}
	return d.forward(operation, body)
}

// forward hands a request on. dynalite looks whether there is a signature, not at it.
func (d *dynalite) forward(operation string, body []byte) (string, error) {
	r, err := http.NewRequest(http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("X-Amz-Date", "20261128T120000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261128/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	return answerOf(res.StatusCode, text)
}

// alone is the operation that is each kind of write of a transaction, outside of one. An
// update that changes nothing checks its condition.
var alone = map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "UpdateItem"}

func (d *dynalite) transact(body []byte) (_ string, err error) {
	var in transactWrite
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	var undo []func() error
	defer func() {
		for _, back := range undo {
			if failed := back(); failed != nil {
				err = failed
			}
		}
	}()
	reasons := make([]map[string]string, len(in.TransactItems))
	for i := range reasons {
		reasons[i] = map[string]string{"Code": "None"}
	}
	for i, one := range in.TransactItems {
		for kind, request := range one {
			back, err := d.backTo(request)
			if err != nil {
				return "", err
			}
			_, err = d.forward(alone[kind], request)
			if e, ok := err.(*awsError); ok && e.kind == "ConditionalCheckFailedException" {
				reasons[i] = map[string]string{"Code": "ConditionalCheckFailed", "Message": e.text}
				return "", &awsError{400, "TransactionCanceledException", "Transaction cancelled", map[string]any{"CancellationReasons": reasons}}
			}
			if err != nil {
				return "", err
			}
			if kind == "ConditionCheck" {
				if err := back(); err != nil {
					return "", err
				}
				continue
			}
			undo = append(undo, back)
		}
	}
	undo = nil
	return "{}", nil
}

// backTo returns what makes the item of a request what it is now.
func (d *dynalite) backTo(request []byte) (func() error, error) {
	var c call
	if err := json.Unmarshal(request, &c); err != nil {
		return nil, err
	}
	key := c.Key
	if c.Item != nil {
		key = map[string]attribute{"PK": c.Item["PK"], "SK": c.Item["SK"]}
	}
	answer, err := d.forward("GetItem", raw(map[string]any{"TableName": c.TableName, "Key": key, "ConsistentRead": true}))
	if err != nil {
		return nil, err
	}
	var found struct{ Item json.RawMessage }
	if err := json.Unmarshal([]byte(answer), &found); err != nil {
		return nil, err
	}
	return func() (err error) {
		if found.Item == nil {
			_, err = d.forward("DeleteItem", raw(map[string]any{"TableName": c.TableName, "Key": key}))
		} else {
			_, err = d.forward("PutItem", raw(map[string]any{"TableName": c.TableName, "Item": found.Item}))
		}
		return err
	}, nil
}

// TestDynalite: each method does the same on dynalite as on minidyn. dynalite takes the
// table, every key and expression that the store has, and refuses what DynamoDB does.
func TestDynalite(t *testing.T) {
	judge := startDynalite(t)
	l := newLayer()
	l.engine = judge
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	for i, m := range methods() {
		t.Run(m.name, func(t *testing.T) {
			_, s := hot(t, 0)
			if err := m.call(t.Context(), s); err != nil {
				t.Fatalf("on minidyn: %v", err)
			}
			want := everything(t, s)
			table := fmt.Sprintf("method-%d", i)
			seed(t, openAt(t, server.URL, table))
			s = open(t, dynamo.Config{Client: connect(t, server.URL), Table: table, EventShards: 3, RevocationShards: 2})
			if err := m.call(t.Context(), s); err != nil {
				t.Fatalf("on dynalite: %v", err)
			}
			if d := cmp.Diff(want, everything(t, s)); d != "" {
				t.Errorf("minidyn and dynalite differ (-minidyn +dynalite):\n%s", d)
			}
		})
	}
	const key = `"TableName":"method-0","Key":{"PK":{"S":"a"},"SK":{"S":"b"}}`
	for name, c := range map[string]struct{ operation, request, want string }{
		"a reserved word": {"UpdateItem", `{` + key + `,"UpdateExpression":"SET Name = :n","ExpressionAttributeValues":{":n":{"S":"x"}}}`, "reserved keyword: Name"},
		"a large item":    {"PutItem", `{"TableName":"method-0","Item":{"PK":{"S":"a"},"SK":{"S":"b"},"V":{"S":"` + strings.Repeat("x", 400<<10) + `"}}}`, "Item size has exceeded"},
		"an empty key":    {"GetItem", `{"TableName":"method-0","Key":{"PK":{"S":""},"SK":{"S":"b"}}}`, "ValidationException"},
		"an unused name":  {"UpdateItem", `{` + key + `,"UpdateExpression":"SET A = :n","ExpressionAttributeNames":{"#B":"B"},"ExpressionAttributeValues":{":n":{"S":"x"}}}`, "unused in expressions"},
	} {
		if _, err := judge.carryOut(c.operation, []byte(c.request)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: dynalite answers %v, want %q", name, err, c.want)
		}
	}
}
