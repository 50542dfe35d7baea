package minidyn_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/awstest"
	"github.com/latchkey-auth/latchkey/internal/iamtest"
	"github.com/latchkey-auth/latchkey/internal/stacktest"
)

// place is where the stack is.
var place = iamtest.Place{Region: stacktest.Region, Account: stacktest.Account}

// operator is the access key of who may do everything.
const operator = "OPERATOR"

// A judge holds every call to AWS against the role of who makes it, whom it knows by the
// access key.
type judge struct {
	t     *testing.T
	roles map[string]*iamtest.Role // by the role's name
	role  map[string]string        // of an access key

	mu      sync.Mutex
	refused map[string]bool // each is told once
}

func newJudge(t *testing.T, x *stacktest.Stack) *judge {
	t.Helper()
	j := &judge{t: t, roles: make(map[string]*iamtest.Role), role: make(map[string]string), refused: make(map[string]bool)}
	for _, f := range x.Functions(t) {
		role, err := iamtest.NewRole(x.Policies(t, f.Role)...)
		if err != nil {
			t.Fatalf("%s: %v", f.Role, err)
		}
		if j.roles[f.Role] == nil {
			j.roles[f.Role] = role
		}
		j.role[f.Name] = f.Role
	}
	return j
}

// allows reports whether the role allows a call, and fails the test where it does not.
func (j *judge) allows(accessKey, service, operation string, body []byte) bool {
	if accessKey == operator {
		return true
	}
	name := j.role[accessKey]
	needs, err := place.Needs(service, operation, body)
	if err != nil || name == "" {
		j.refuse("%s calls %s %s: %v", accessKey, service, operation, err)
		return false
	}
	all := true
	for _, need := range needs {
		ok, err := j.roles[name].Allows(need)
		if err != nil || !ok {
			j.refuse("%s does not allow %s: %s on %s, keys %v (%v)", name, accessKey, need.Action, need.Resource, need.Keys, err)
			all = false
		}
	}
	return all
}

func (j *judge) refuse(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.refused[text] {
		j.refused[text] = true
		j.t.Error(text)
	}
}

// database has the table before it.
func (j *judge) database(table *layer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		accessKey, _, _ := strings.Cut(credential, "/")
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if !j.allows(accessKey, "dynamodb", operation, body) {
			writeError(w, denied.answer(operation, body))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		table.ServeHTTP(w, r)
	})
}

// services has those of package awstest before it.
func (j *judge) services(answer func(awstest.Call) (any, error)) func(awstest.Call) (any, error) {
	return func(c awstest.Call) (any, error) {
		if !j.allows(c.AccessKey, c.Service, c.Operation, c.Body) {
			return nil, awstest.Denied(c.Service+":"+c.Operation, "*")
		}
		return answer(c)
	}
}
