package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretSettingsAreHidden: in whichever way a configuration is printed or logged.
func TestSecretSettingsAreHidden(t *testing.T) {
	const secret = "correct-horse"
	cfg := Config{MasterKey: secret, TokenSecret: secret}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&shown, verb+"\n", cfg)
		fmt.Fprintf(&shown, verb+"\n", cfg.TokenSecret)
	}
	if err := json.NewEncoder(&shown).Encode(cfg.TokenSecret); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&shown, nil)).Info("text", slog.Any("secret", cfg.TokenSecret), slog.Any("config", cfg))
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("JSON", slog.Any("secret", cfg.TokenSecret))
	for _, form := range []string{secret, fmt.Sprintf("%x", secret)} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("%q is in %s", form, shown.String())
		}
	}
	if got := Secret("").String(); got != "" {
		t.Errorf("no secret is shown as %q", got)
	}
}
