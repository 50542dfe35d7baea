package latchkey_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type team struct {
	ID   string `json:"id"`
	Role string `json:"role,omitempty"`
}

type base struct {
	Plan string `json:"plan"`
}

type mine struct {
	base
	Team    *team    `json:"team"`
	Subject string   `json:"sub"`
	Seats   int      `json:"seats"`
	Flags   []string `json:"flags"`
	Hidden  string   `json:"-"`
}

func TestDecode(t *testing.T) {
	v := newVerifier(t, nil)
	c, err := verify(v, withClaims("plan", `"pro"`, "seats", "7", "flags", `["a","b"]`, "Hidden", `"x"`, "team", `{"id":"t1"}`))
	if err != nil {
		t.Fatal(err)
	}
	var got mine
	if err := c.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := mine{base: base{"pro"}, Team: &team{ID: "t1"}, Subject: "user-1", Seats: 7, Flags: []string{"a", "b"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mine{})); diff != "" {
		t.Error(diff)
	}
}

// TestEpochAndRights: the numbers by which revocations end tokens. Members of these names
// that hold something else are another program's.
func TestEpochAndRights(t *testing.T) {
	for name, c := range map[string]struct {
		changes       []string
		epoch, rights int64
	}{
		"neither":        {nil, -1, -1},
		"zeros":          {[]string{"epoch", "0", "rights", "0"}, 0, 0},
		"numbers":        {[]string{"epoch", "7", "rights", "3"}, 7, 3},
		"text and lists": {[]string{"epoch", `"7"`, "rights", `["admin"]`}, -1, -1},
		"below zero":     {[]string{"epoch", "-7", "rights", "1.5"}, -1, -1},
	} {
		got, err := verify(newVerifier(t, nil), withClaims(c.changes...))
		if err != nil || got.Epoch != c.epoch || got.Rights != c.rights {
			t.Errorf("%s: epoch %d, rights %d, %v; want %d and %d", name, got.Epoch, got.Rights, err, c.epoch, c.rights)
		}
	}
}

// selfEmbedded embeds itself, as encoding/json allows.
type selfEmbedded struct {
	*selfEmbedded        //lint:ignore U1000 encoding/json looks at it
	Plan          string `json:"plan"`
}

func TestDecodeRefuses(t *testing.T) {
	v := newVerifier(t, nil)
	var text string
	for name, c := range map[string]struct {
		changes []string
		into    any
		want    string
	}{
		"a name in another case":            {[]string{"Plan", `"pro"`}, new(mine), `"Plan" and field "plan" differ in case alone`},
		"a name in another case beside it":  {[]string{"plan", `"free"`, "PLAN", `"pro"`}, new(mine), "differ in case alone"},
		"a name with the long s":            {[]string{"\u017feats", "9"}, new(mine), "differ in case alone"},
		"a field without a tag":             {[]string{"plan", `"pro"`}, new(struct{ Plan string }), "differ in case alone"},
		"a number for a text":               {[]string{"plan", "7"}, new(mine), "plan"},
		"no pointer":                        {nil, mine{}, "no pointer to a struct"},
		"a pointer to no struct":            {nil, &text, "no pointer to a struct"},
		"nil":                               {nil, nil, "no pointer to a struct"},
		"nil of a type":                     {nil, (*mine)(nil), "decoding claims"},
		"a struct that embeds itself again": {[]string{"PLAN", `"pro"`}, new(selfEmbedded), "differ in case alone"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verify(v, withClaims(c.changes...))
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Decode(c.into); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that says %q", err, c.want)
			}
		})
	}
}
