package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// render writes a value as the reader understood it, to compare with what is
// expected: Go syntax for strings, so that every byte shows.
func render(v strictjson.Value) string {
	switch v.Kind() {
	case strictjson.String:
		text, _ := v.Text()
		return fmt.Sprintf("%q", text)
	case strictjson.Array:
		var all []string
		if err := v.Elements(func(v strictjson.Value) error {
			all = append(all, render(v))
			return nil
		}); err != nil {
			return err.Error()
		}
		return "[" + strings.Join(all, " ") + "]"
	case strictjson.Members:
		text, err := renderObject(v.Raw())
		if err != nil {
			return err.Error()
		}
		return text
	}
	return v.Raw()
}

func renderObject(doc string) (string, error) {
	var all []string
	err := strictjson.Object(doc, func(name string, v strictjson.Value) error {
		all = append(all, fmt.Sprintf("%q=%s", name, render(v)))
		return nil
	})
	return "{" + strings.Join(all, " ") + "}", err
}

func TestObject(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"empty", `{}`, `{}`},
		{"empty with space", " \t\r\n{ \n} ", `{}`},
		{"members in their order", `{"b":1,"a":"x"}`, `{"b"=1 "a"="x"}`},
		{"space everywhere", "{ \"a\" : [ 1 , 2 ] , \"b\" : { } }", `{"a"=[1 2] "b"={}}`},
		{"the words", `{"t":true,"f":false,"n":null}`, `{"t"=true "f"=false "n"=null}`},
		{"numbers of every form", `{"a":[0,-0,1,-12,1.5,0.05,1e3,1E+3,2.5e-10]}`, `{"a"=[0 -0 1 -12 1.5 0.05 1e3 1E+3 2.5e-10]}`},
		{"empty array", `{"a":[ ]}`, `{"a"=[]}`},
		{"nested", `{"a":{"b":[{"c":[[]]}]}}`, `{"a"={"b"=[{"c"=[[]]}]}}`},
		{"escapes", `{"a":"\"\\\/\b\f\n\r\t"}`, `{"a"="\"\\/\b\f\n\r\t"}`},
		{"escape between text", `{"a":"x\ny"}`, `{"a"="x\ny"}`},
		{"unicode escapes", `{"a":"\u0041\u00e9\u00E9\u20ac"}`, `{"a"="Aéé€"}`},
		{"surrogate pair", `{"a":"\ud83d\uDE00!"}`, `{"a"="😀!"}`},
		{"highest code point", `{"a":"\udbff\udfff"}`, `{"a"="\U0010ffff"}`},
		{"escaped NUL", `{"a":"\u0000"}`, `{"a"="\x00"}`},
		{"escaped name", `{"\u0061\n":1}`, `{"a\n"=1}`},
		{"empty name", `{"":1}`, `{""=1}`},
		{"plain UTF-8", `{"é😀":"用户"}`, `{"é😀"="用户"}`},
		{"replacement character", `{"a":"` + "\uFFFD" + `"}`, `{"a"="�"}`},
		{"names in different cases", `{"a":1,"A":2}`, `{"a"=1 "A"=2}`},
		{"one name in two objects", `{"a":{"a":{"a":1}}}`, `{"a"={"a"={"a"=1}}}`},
		{"escape of a surrogate's text", `{"a":"\\ud800"}`, `{"a"="\\ud800"}`},
		{"arrays 31 deep", `{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, `{"a"=` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := renderObject(c.doc)
			if err != nil || got != c.want {
				t.Errorf("got %s and error %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestObjectRefuses(t *testing.T) {
	value := func(v string) string { return `{"a":` + v + `}` }
	for _, c := range []struct{ name, doc, want string }{
		{"nothing", ``, "not a JSON object at byte 0"},
		{"space alone", `  `, "not a JSON object at byte 2"},
		{"an array", `[{}]`, "not a JSON object"},
		{"a string", `"{}"`, "not a JSON object"},
		{"a byte order mark", "\uFEFF{}", "not a JSON object"},
		{"a NUL", "\x00", "not a JSON object"},
		{"vertical tab as space", "\v{}", "not a JSON object"},
		{"no-break space", "\u00A0{}", "not a JSON object"},
		{"no end", `{`, "member name expected at byte 1"},
		{"no end after a name", `{"a"`, "colon expected"},
		{"no end after a colon", `{"a":`, "value expected"},
		{"no end after a value", `{"a":1`, "comma or end expected"},
		{"no end after a comma", `{"a":1,`, "member name expected"},
		{"wrong end", `{"a":1]`, "comma or end expected"},
		{"comma at the end", `{"a":1,}`, "member name expected"},
		{"comma at the start", `{,"a":1}`, "member name expected"},
		{"two commas", `{"a":1,,"b":2}`, "member name expected"},
		{"no comma", `{"a":1 "b":2}`, "comma or end expected"},
		{"no colon", `{"a" 1}`, "colon expected"},
		{"equals sign", `{"a"=1}`, "colon expected"},
		{"name without quotes", `{a:1}`, "member name expected"},
		{"name in single quotes", `{'a':1}`, "member name expected"},
		{"number as name", `{1:1}`, "member name expected"},
		{"two objects", `{}{}`, "something follows the object at byte 2"},
		{"text behind", `{} x`, "something follows"},
		{"NUL behind", "{}\x00", "something follows"},
		{"comment", `{/**/}`, "member name expected"},

		{"same name twice", `{"a":1,"a":1}`, `member "a" stands twice`},
		{"same name twice, one escaped", `{"a":1,"\u0061":1}`, `member "a" stands twice`},
		{"same name twice, not side by side", `{"a":1,"b":2,"a":3}`, "stands twice"},
		{"empty name twice", `{"":1,"":2}`, "stands twice"},
		{"same name twice inside", value(`{"b":1,"b":2}`), "stands twice"},
		{"same name twice in an array", value(`[1,[{"b":1,"b":2}]]`), "stands twice"},
		{"first of twenty names twice", "{" + names(20) + `,"n0":1}`, "stands twice"},
		{"last of twenty names twice", "{" + names(20) + `,"n19":1}`, "stands twice"},
		{"seventeenth name twice", "{" + names(17) + `,"n16":1}`, "stands twice"},

		{"array without end", value(`[1`), "comma or end expected"},
		{"array with wrong end", value(`[1}`), "comma or end expected"},
		{"array with a comma at the end", value(`[1,]`), "value expected"},
		{"array with a comma alone", value(`[,]`), "value expected"},
		{"colon in an array", value(`["b":1]`), "comma or end expected"},
		{"nested too deep in arrays", value(strings.Repeat("[", 32) + strings.Repeat("]", 32)), "nested too deep"},
		{"nested too deep in objects", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), "nested too deep"},
		{"a hundred thousand brackets", value(strings.Repeat("[", 100000)), "nested too deep"},

		{"word cut", value(`tru`), "value expected"},
		{"word longer", value(`nulll`), "comma or end expected"},
		{"word in capitals", value(`TRUE`), "value expected"},
		{"undefined", value(`undefined`), "value expected"},
		{"NaN", value(`NaN`), "value expected"},
		{"Infinity", value(`-Infinity`), "digit expected"},
		{"leading zero", value(`01`), "comma or end expected"},
		{"leading zeros behind minus", value(`-00`), "comma or end expected"},
		{"plus", value(`+1`), "value expected"},
		{"minus alone", value(`-`), "digit expected"},
		{"point first", value(`.5`), "value expected"},
		{"point last", value(`1.`), "digit expected"},
		{"point and exponent", value(`1.e3`), "digit expected"},
		{"exponent without digits", value(`1e`), "digit expected"},
		{"exponent with a sign alone", value(`1e+`), "digit expected"},
		{"hexadecimal", value(`0x10`), "comma or end expected"},
		{"digits of another script", value(`١`), "value expected"},

		{"string without end", `{"a":"x`, "string without end"},
		{"string that ends in a backslash", `{"a":"\`, "string without end"},
		{"string whose quote is escaped", `{"a":"\"}`, "string without end"},
		{"line break in a string", value("\"a\nb\""), "control character"},
		{"NUL in a string", value("\"a\x00b\""), "control character"},
		{"control character in a name", "{\"a\x1f\":1}", "control character"},
		{"unknown escape", value(`"\a"`), "unknown escape"},
		{"hexadecimal escape", value(`"\x41"`), "unknown escape"},
		{"escaped single quote", value(`"\'"`), "unknown escape"},
		{"unicode escape cut", value(`"\u00"`), "four hexadecimal digits"},
		{"unicode escape without end", `{"a":"\u00e`, "four hexadecimal digits"},
		{"unicode escape with a letter too high", value(`"\u00eg"`), "four hexadecimal digits"},
		{"unicode escape with a sign", value(`"\u+0e9"`), "four hexadecimal digits"},
		{"high surrogate alone", value(`"\ud800"`), "unpaired surrogate"},
		{"high surrogate before text", value(`"\ud800x"`), "unpaired surrogate"},
		{"high surrogate before another escape", value(`"\ud800\n"`), "unpaired surrogate"},
		{"high surrogate twice", value(`"\ud800\ud800"`), "unpaired surrogate"},
		{"high surrogate before a cut escape", value(`"\ud800\udc0"`), "unpaired surrogate"},
		{"high surrogate at the very end", `{"a":"\ud800`, "unpaired surrogate"},
		{"low surrogate alone", value(`"\udc00"`), "unpaired surrogate"},
		{"surrogates the wrong way round", value(`"\udc00\ud800"`), "unpaired surrogate"},
		{"unpaired surrogate in a name", `{"\ud800":1}`, "unpaired surrogate"},
		{"byte FF", value("\"\xFF\""), "broken UTF-8"},
		{"continuation byte alone", value("\"\x80\""), "broken UTF-8"},
		{"UTF-8 cut off", value("\"\xE2\x82\""), "broken UTF-8"},
		{"UTF-8 of too many bytes", value("\"\xC0\x80\""), "broken UTF-8"},
		{"surrogate in UTF-8", value("\"\xED\xA0\x80\""), "broken UTF-8"},
		{"beyond U+10FFFF", value("\"\xF4\x90\x80\x80\""), "broken UTF-8"},
		{"broken UTF-8 in a name", "{\"\xFF\":1}", "broken UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := strictjson.Object(c.doc, func(string, strictjson.Value) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that says %q", err, c.want)
			}
			var syntax *strictjson.SyntaxError
			var duplicate *strictjson.DuplicateError
			if !errors.As(err, &syntax) && !errors.As(err, &duplicate) {
				t.Errorf("got a %T", err)
			}
			if syntax != nil && (syntax.Offset < 0 || syntax.Offset > len(c.doc)) {
				t.Errorf("byte %d is not in the document", syntax.Offset)
			}
		})
	}
}

func names(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"n%d":%d`, i, i))
	}
	return strings.Join(all, ",")
}

func TestManyMembersAreNotDuplicates(t *testing.T) {
	for _, n := range []int{15, 16, 17, 18, 500} {
		count := 0
		err := strictjson.Object("{"+names(n)+"}", func(string, strictjson.Value) error { count++; return nil })
		if err != nil || count != n {
			t.Errorf("%d members: %d were read, error %v", n, count, err)
		}
	}
}

func TestInt(t *testing.T) {
	for raw, want := range map[string]string{
		"0": "0", "1": "1", "-1": "-1",
		"9223372036854775807": "9223372036854775807", "-9223372036854775808": "-9223372036854775808",
		"9223372036854775808": "no", "-9223372036854775809": "no", "1.0": "no", "1e3": "no", "1E3": "no", "-0": "no", "1e400": "no",
		`"1"`: "no", "true": "no", "null": "no", "[1]": "no", "{}": "no",
	} {
		n, ok := valueOf(t, raw).Int()
		got := "no"
		if ok {
			got = fmt.Sprint(n)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
}

// valueOf reads one value.
func valueOf(t *testing.T, raw string) (got strictjson.Value) {
	t.Helper()
	if err := strictjson.Object(`{"v":`+raw+`}`, func(_ string, v strictjson.Value) error {
		got = v
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestValuesKeepToTheirKind(t *testing.T) {
	for raw, kind := range map[string]strictjson.Kind{
		"null": strictjson.Null, "true": strictjson.Bool, "false": strictjson.Bool, "1": strictjson.Number,
		`"true"`: strictjson.String, "[]": strictjson.Array, "{}": strictjson.Members,
	} {
		v := valueOf(t, raw)
		if v.Kind() != kind || v.Raw() != raw {
			t.Errorf("%s: got kind %d and text %s", raw, v.Kind(), v.Raw())
		}
		if _, ok := v.Text(); ok != (kind == strictjson.String) {
			t.Errorf("%s: Text says %v", raw, ok)
		}
		if _, ok := v.Int(); ok != (kind == strictjson.Number) {
			t.Errorf("%s: Int says %v", raw, ok)
		}
		if b, ok := v.Bool(); ok != (kind == strictjson.Bool) || b != (raw == "true") {
			t.Errorf("%s: Bool says %v, %v", raw, b, ok)
		}
		if err := v.Elements(func(strictjson.Value) error { return nil }); (err == nil) != (kind == strictjson.Array) {
			t.Errorf("%s: Elements says %v", raw, err)
		}
		if err := v.Object(func(string, strictjson.Value) error { return nil }); (err == nil) != (kind == strictjson.Members) {
			t.Errorf("%s: Object says %v", raw, err)
		}
	}
}

// TestCallbacksCanStop: their error comes back as it is and nothing more is read.
func TestCallbacksCanStop(t *testing.T) {
	stop := errors.New("enough")
	calls := 0
	if err := strictjson.Object(`{"a":1,"b":2}`, func(string, strictjson.Value) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("Object: error %v after %d calls", err, calls)
	}
	calls = 0
	if err := valueOf(t, "[1,2]").Elements(func(strictjson.Value) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("Elements: error %v after %d calls", err, calls)
	}
	calls = 0
	if err := valueOf(t, `{"b":1,"c":2}`).Object(func(string, strictjson.Value) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("Value.Object: error %v after %d calls", err, calls)
	}
}

func TestErrorsDoNotQuoteValues(t *testing.T) {
	err := strictjson.Object(`{"a":"hunter2-hunter2`, func(string, strictjson.Value) error { return nil })
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got error %v", err)
	}
}

func TestAppendString(t *testing.T) {
	for text, want := range map[string]string{
		"":                    `""`,
		"plain":               `"plain"`,
		`"\/`:                 `"\"\\/"`,
		"a\nb\rc\td":          `"a\nb\rc\td"`,
		"\x00\x01\x1f\x7f":    `"\u0000\u0001\u001f\u007f"`,
		"é用😀":                 `"é用😀"`,
		"\xff":                `"�"`,
		"a\xc3":               `"a�"`,
		"\xed\xa0\x80z":       `"���z"`,
		"ends with a quote\"": `"ends with a quote\""`,
	} {
		if got := string(strictjson.AppendString([]byte("x"), text)); got != "x"+want {
			t.Errorf("%q: got %s, want x%s", text, got, want)
		}
	}
}

// FuzzAppendString: other readers, and we, read back what was written.
func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "plain", "\"\\/\b\f\n\r\t", "\x00\x1f\x7f\u2028", "é😀", "\xff\xc3\xed\xa0\x80", "</script>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := string([]rune(text)) // U+FFFD for every broken byte
		quoted := strictjson.AppendString(nil, text)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil || got != want {
			t.Errorf("encoding/json reads %s as %q, %v; want %q", quoted, got, err, want)
		}
		own, ok := valueOf(t, string(quoted)).Text()
		if !ok || own != want {
			t.Errorf("we read %s as %q; want %q", quoted, own, want)
		}
	})
}
