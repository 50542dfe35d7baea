package setting_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/setting"
)

func TestCheck(t *testing.T) {
	for value, want := range map[string]string{
		"":                                   "",
		"https://auth.example.com":           "",
		"two words":                          "",
		`"Example, Inc." <mail@example.com>`: "",
		`it's "so"`:                          "",
		`"`:                                  "",
		"secret\n":                           "holds a line end",
		"secret\r\n":                         "holds a line end",
		"first\nsecond":                      "holds a line end",
		" secret":                            "begins or ends with a blank",
		"secret\t":                           "begins or ends with a blank",
		"secret\u00a0":                       "begins or ends with a blank",
		`"https://auth.example.com"`:         "is in quotes",
		`'secret'`:                           "is in quotes",
	} {
		err := setting.Check("TOKEN_SECRET", value)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", value, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "TOKEN_SECRET "+want) {
			t.Errorf("%q: got %v, want %q", value, err, want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "example") {
			t.Errorf("%q: the error shows the value: %v", value, err)
		}
	}
}
