package minidyn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An answer is what the API says.
type answer struct {
	header  http.Header
	members map[string]any
}

func (a answer) text(name string) string {
	s, _ := a.members[name].(string)
	return s
}

// call makes a request that must be answered with the status.
func (d *deployment) call(t *testing.T, status int, method, path, token, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := d.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s, %v", method, path, res.StatusCode, status, text, err)
	}
	a := answer{header: res.Header}
	_ = json.Unmarshal(text, &a.members) // there may be none
	return a
}

var linkInMail = regexp.MustCompile(`(\S+)\?token=([A-Za-z0-9_.-]+)`)

// mailed is the newest mail with a link to a person: where it leads, and its token.
func (d *deployment) mailed(t *testing.T, to string) (link, token string) {
	t.Helper()
	d.functions["Auth"].idle(t)
	for _, c := range slices.Backward(d.aws.Calls()) {
		var in struct {
			Destination struct{ ToAddresses []string }
			Content     struct{ Raw struct{ Data []byte } }
		}
		if c.Service != "ses" || c.Read(&in) != nil || !slices.Contains(in.Destination.ToAddresses, to) {
			continue
		}
		m, err := netmail.ReadMessage(bytes.NewReader(in.Content.Raw.Data))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if found := linkInMail.FindSubmatch(text); found != nil {
			return string(found[1]), string(found[2])
		}
		t.Logf("a mail without a link: %v", err)
	}
	return "", ""
}

// notWalked are rights that this walk has no use for, and who has.
var notWalked = map[string]string{
	`dynamodb:BatchGetItem of AuthorizerRole`: "looks up single tokens where too many have ended to follow (TestRevocationsOfTheTable)",
}

// TestDeployed walks a person from registration to deletion through what the SAM template
// makes of the zips: at first nobody has made a master key. Every call to AWS is held
// against the role of the function that makes it. None is refused, and no right is left
// that nobody has used.
func TestDeployed(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.com"
	d := deploy(t, map[string]string{"Registration": "open", "MailFrom": "mail@example.com", "CorsOrigin": origin})
	const address, first, second = "ada@example.com", "correct horse battery", "another horse battery"

	d.call(t, 200, "GET", "/publicEndpoint", "", "")
	refused := d.call(t, 401, "GET", "/privateEndpoint", "", "")
	if h := refused.header; h.Get("WWW-Authenticate") != "Bearer" || h.Get("Access-Control-Allow-Origin") != origin || refused.text("error") != "Unauthorized" {
		t.Errorf("a request without a token is answered by %v, %v", h, refused.members)
	}
	if h := d.call(t, 204, "OPTIONS", "/privateEndpoint", "", "").header; h.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("a preflight is answered by %v", h)
	}

	d.call(t, 202, "POST", "/register", "", `{"email":"`+address+`","password":"`+first+`"}`)
	login := `{"username":"` + address + `","password":"` + first + `"}`
	d.call(t, 403, "POST", "/login", "", login)
	link, token := d.mailed(t, address)
	if !strings.HasPrefix(link, d.url+"/") {
		t.Errorf("a mail leads to %s, not to %s", link, d.url)
	}
	d.call(t, 204, "POST", "/email/verify", "", `{"token":"`+token+`"}`)
	d.call(t, 401, "POST", "/login", "", `{"username":"`+address+`","password":"wrong"}`)
	tokens := d.call(t, 200, "POST", "/login", "", login)
	if me := d.call(t, 200, "GET", "/me", tokens.text("access_token"), ""); me.text("email") != address {
		t.Errorf("/me says %v", me.members)
	}
	d.call(t, 200, "GET", "/privateEndpoint", tokens.text("access_token"), "")
	d.call(t, 401, "GET", "/privateEndpoint", tokens.text("refresh_token"), "")
	tokens = d.call(t, 200, "POST", "/token/refresh", "", `{"refresh_token":"`+tokens.text("refresh_token")+`"}`)
	other := d.call(t, 200, "POST", "/login", "", login)
	d.call(t, 204, "POST", "/logout", tokens.text("access_token"), `{"scope":"others"}`)
	d.call(t, 401, "GET", "/me", other.text("access_token"), "")
	d.call(t, 204, "POST", "/logout", tokens.text("access_token"), "")
	// A decision about a token that has one already is API Gateway's for its cache time.
	d.call(t, 401, "GET", "/me", tokens.text("access_token"), "")

	d.call(t, 202, "POST", "/password/forgot", "", `{"email":"`+address+`"}`)
	_, token = d.mailed(t, address)
	d.call(t, 204, "POST", "/password/reset", "", `{"token":"`+token+`","password":"`+second+`"}`)
	d.call(t, 401, "POST", "/login", "", login)
	tokens = d.call(t, 200, "POST", "/login", "", `{"username":"`+address+`","password":"`+second+`"}`)

	// Mail that no request has queued is the schedule's.
	d.command(t, "users", "invite", "grace@example.com")
	schedules := d.stack.Schedules(t)
	if len(schedules) != 1 {
		t.Fatalf("the schedules call %v", schedules)
	}
	event := []byte(`{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`)
	if _, err := d.functions[schedules[0]].invoke(t.Context(), event); err != nil {
		t.Error(err)
	}
	if link, _ := d.mailed(t, "grace@example.com"); link == "" {
		t.Error("nobody has sent the invitation")
	}

	d.call(t, 204, "DELETE", "/me", tokens.text("access_token"), `{"password":"`+second+`"}`)
	d.call(t, 401, "POST", "/login", "", `{"username":"`+address+`","password":"`+second+`"}`)
	if kind, value := d.secrets.Parameter("/latchkey/demo/master-key"); kind != "SecureString" || value == "" {
		t.Errorf("the master key is a %q", kind)
	}
	d.end(t)
}

// end stops the functions and looks for rights that are too many.
func (d *deployment) end(t *testing.T) {
	t.Helper()
	for name, f := range d.stack.Functions(t) {
		d.functions[name].stop()
		// Lambda itself writes what a function says, by the function's role.
		to := []byte(fmt.Sprintf(`{"logGroupName":%q,"logStreamName":"2026/01/02/[$LATEST]8476a536"}`, f.LogGroup))
		d.judge.allows(name, "logs", "CreateLogStream", to)
		d.judge.allows(name, "logs", "PutLogEvents", to)
	}
	// What a role does not need it must not have either, where one action is for all items.
	keys := []byte(`{"TableName":"Table","KeyConditionExpression":"#PK = :pk","ExpressionAttributeNames":{"#PK":"PK"},"ExpressionAttributeValues":{":pk":{"S":"keys"}}}`)
	needs, err := place.Needs("dynamodb", "Query", keys)
	if err != nil {
		t.Fatal(err)
	}
	if allowed, err := d.judge.roles["AuthorizerRole"].Allows(needs[0]); err != nil || allowed {
		t.Errorf("the authorizer may read signing keys, %v", err)
	}
	for name, role := range d.judge.roles {
		for _, right := range role.Unused() {
			action := strings.Fields(right)[1]
			if notWalked[action+" of "+name] == "" {
				t.Errorf("%s has a right that nothing has used: %s", name, right)
			}
		}
	}
}
