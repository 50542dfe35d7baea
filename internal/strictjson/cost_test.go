package strictjson_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

func TestCostOfObject(t *testing.T) {
	const small = 4 << 10
	repeated := func(before, part, after string) func(int) string {
		return func(n int) string { return before + strings.Repeat(part, n/len(part)) + after }
	}
	for name, text := range map[string]func(int) string{
		"one long string":        repeated(`{"a":"`, "x", `"}`),
		"escapes":                repeated(`{"a":"`, `\u00e9`, `"}`),
		"surrogates":             repeated(`{"a":"`, `\ud83d\ude00`, `"}`),
		"a string without end":   repeated(`{"a":"`, `\"`, ``),
		"a long number":          repeated(`{"a":`, "9", `}`),
		"a long name":            repeated(`{"`, "x", `":1}`),
		"two long names":         func(n int) string { x := strings.Repeat("x", n/2); return `{"` + x + `":1,"` + x + `":1}` },
		"empty objects":          repeated(`{"a":[`, `{},`, `{}]}`),
		"small objects":          repeated(`{"a":[`, `{"b":1},`, `{}]}`),
		"numbers":                repeated(`{"a":[`, `1,`, `1]}`),
		"nested as deep as goes": repeated(`{"a":[`, strings.Repeat("[", 28)+strings.Repeat("]", 28)+",", `1]}`),
		"too deep":               repeated(`{"a":`, "[", ""),
		"space":                  repeated(`{`, " ", `}`),
		"members": func(n int) string {
			var b strings.Builder
			for i := 0; b.Len() < n; i++ {
				fmt.Fprintf(&b, `"m%06d":1,`, i)
			}
			return "{" + b.String() + `"z":1}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			costtest.Linear(t, small, text, func(doc string) {
				strictjson.Object(doc, func(_ string, v strictjson.Value) error {
					v.Text()
					v.Int()
					v.Object(nil)
					return v.Elements(func(strictjson.Value) error { return nil })
				})
			})
		})
	}
	for name, part := range map[string]string{"plain": "x", "control characters": "\x00", "broken UTF-8": "\xff"} {
		t.Run("written: "+name, func(t *testing.T) {
			costtest.Linear(t, small, repeated("", part, ""), func(s string) { strictjson.AppendString(nil, s) })
		})
	}
}
