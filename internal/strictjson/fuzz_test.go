package strictjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// FuzzObject: what we accept, encoding/json accepts with the same values.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"a":1,"b":"x","c":[true,false,null],"d":{"e":{}}}`, ` {"a" : -0.5e+10 } `,
		`{"a":"\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t"}`, `{"é":"用户😀"}`, `{"\u0061":1,"a":2}`, `{"a":"\ud800"}`,
		`{"a":[[[[{"b":[]}]]]]}`, `{"a":01}`, `{"a":1e400}`, `{"a":9223372036854775808}`, "{\"a\":\"\xff\"}", `{"a":1}}`, `[{}]`,
		"{" + names(20) + "}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		ours, err := decodeObject(doc)
		if err != nil {
			return
		}
		if !utf8.ValidString(doc) {
			t.Errorf("accepted broken UTF-8: %q", doc)
		}
		theirs := json.NewDecoder(bytes.NewReader([]byte(doc)))
		theirs.UseNumber()
		var want map[string]any
		if err := theirs.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", doc, err)
		}
		if theirs.More() {
			t.Errorf("encoding/json finds more behind %q", doc)
		}
		if !reflect.DeepEqual(ours, want) {
			t.Errorf("%q: we see %v, encoding/json %v", doc, ours, want)
		}
	})
}

// decodeObject builds what encoding/json would build.
func decodeObject(doc string) (map[string]any, error) {
	all := make(map[string]any)
	err := strictjson.Object(doc, func(name string, v strictjson.Value) (err error) {
		if _, twice := all[name]; twice {
			panic(fmt.Sprintf("the member %q was passed on twice", name))
		}
		all[name], err = decodeValue(v)
		return err
	})
	return all, err
}

func decodeValue(v strictjson.Value) (any, error) {
	switch v.Kind() {
	case strictjson.Bool:
		b, _ := v.Bool()
		return b, nil
	case strictjson.Number:
		return json.Number(v.Raw()), nil
	case strictjson.String:
		text, _ := v.Text()
		return text, nil
	case strictjson.Array:
		all := []any{}
		err := v.Elements(func(v strictjson.Value) error {
			e, err := decodeValue(v)
			all = append(all, e)
			return err
		})
		return all, err
	case strictjson.Members:
		return decodeObject(v.Raw())
	}
	return nil, nil
}
