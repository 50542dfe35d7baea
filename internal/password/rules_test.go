package password_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/password"
)

var errDisk = errors.New("disk gone")

func TestRulesSayWhatIsBroken(t *testing.T) {
	rules := password.Rules{
		Min:    15,
		Common: func(p string) bool { return p == "passwordpassword" },
		Breached: func(p string) (bool, error) {
			if p == "on a broken disk" {
				return false, errDisk
			}
			return p == "a breached battery", nil
		},
	}
	const better = "; a few random words make a better one"
	for chosen, want := range map[string]string{
		"fourteen chars":              "must have at least 15 characters; a few random words make a good one",
		"\ufdfa":                      "must have at least 15 characters; a few random words make a good one", // one that stands for 18
		strings.Repeat("e\u0301", 10): "must have at least 15 characters; a few random words make a good one", // twenty that are ten
		strings.Repeat("x", 1025):     "must have at most 1024 bytes",
		"passwordpassword":            "is one that is guessed first" + better,
		"LOVELACE's battery.":         "must not hold your own name or address" + better,
		"ｌｏｖｅｌａｃｅ batteries":          "must not hold your own name or address" + better, // full width
		"a breached battery":          "has been published in a leak of some other service; choose one that you use nowhere else",
		"canada is a battery":         "", // "Ada" is too short to be looked for
		strings.Repeat("x", 1024):     "",
	} {
		err := rules.Check(chosen, []string{"Lovelace", "Ada"})
		var broken password.RuleError
		if want == "" && err != nil || want != "" && (!errors.As(err, &broken) || err.Error() != want) {
			t.Errorf("%.30s: got %v, want %q", chosen, err, want)
		}
	}
	err := rules.Check("on a broken disk", nil)
	if broken := password.RuleError(""); !errors.Is(err, errDisk) || errors.As(err, &broken) {
		t.Errorf("without the breach folder: got %v, want no verdict", err)
	}
	// The zero value asks for a length alone.
	for chosen, taken := range map[string]bool{"seven77": false, "eight888": true} {
		if err := (password.Rules{}).Check(chosen, nil); (err == nil) != taken {
			t.Errorf("%s by no rules: got %v", chosen, err)
		}
	}
}
