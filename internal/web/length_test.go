package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/web"
)

// TestEveryMemberHasALongest sends each member of each request that the OpenAPI
// document knows with a value that fills the body: letters that IDNA and
// normalization take longest for.
func TestEveryMemberHasALongest(t *testing.T) {
	f := mailFixture(t)
	token := f.token()
	var letters strings.Builder
	for i := range 20_000 {
		letters.WriteRune(rune(0x4e00 + i))
	}
	long, sent := "a@"+letters.String()+".com", 0
	for path, operations := range documented(t).Paths {
		for method, operation := range operations {
			for media, body := range operation.RequestBody.Content {
				for _, member := range members(t, body.Schema) {
					sent++
					method := strings.ToUpper(method)
					if media == asForm {
						form := url.Values{"token": {"x"}, "password": {"x"}}
						if path == "/verify" {
							form.Del("password")
						}
						if member == "email" {
							form = url.Values{}
						}
						form.Set(member, strings.Repeat("A", 60_000)) // each letter that is encoded takes nine bytes
						if a := f.submit(path, form); a.status != http.StatusBadRequest || !strings.Contains(a.body, "The "+member+" must have at most") {
							t.Errorf("%s %s with a long %s: %d %.300s", method, path, member, a.status, a.body)
						}
						continue
					}
					doc, err := json.Marshal(map[string]string{member: long})
					if err != nil {
						t.Fatal(err)
					}
					p := f.wantProblem(f.send(method, path, string(doc), with(bearer(token), "Content-Type", asJSON)), http.StatusBadRequest, "invalid_request")
					named := false
					for _, e := range p.Errors {
						named = named || e.Field == member && strings.Contains(e.Message, "at most")
					}
					if !named {
						t.Errorf("%s %s with a long %s: errors %v", method, path, member, p.Errors)
					}
				}
			}
		}
	}
	if sent < 20 {
		t.Errorf("%d members were sent, want those of all routes", sent)
	}
}

// TestLongLinksAndPaths: what is no member has a longest, too.
func TestLongLinksAndPaths(t *testing.T) {
	f := mailFixture(t)
	long := strings.Repeat("A", 8<<10)
	for _, path := range []string{"/verify", "/reset", "/accept"} {
		if a := f.get(path+"?token="+long, nil); a.status != http.StatusBadRequest || strings.Contains(a.body, long) {
			t.Errorf("%s with a long token: %d with %d bytes", path, a.status, len(a.body))
		}
	}
	f.wantProblem(f.send("DELETE", "/me/sessions/"+long, "", bearer(f.token())), http.StatusNotFound, "not_found")
}

// schema is as much of a JSON schema as requests have.
type schema struct {
	Ref        string `json:"$ref"`
	OneOf      []schema
	Properties map[string]json.RawMessage
}

type document struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct{ Schema schema }
		}
	}
	Components struct{ Schemas map[string]schema }
}

func documented(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(web.OpenAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// members returns the names of all that a request may have.
func members(t *testing.T, s schema) []string {
	t.Helper()
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return members(t, documented(t).Components.Schemas[name])
	}
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	for _, one := range s.OneOf {
		names = append(names, members(t, one)...)
	}
	return names
}
