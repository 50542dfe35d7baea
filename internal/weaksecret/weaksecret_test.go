package weaksecret

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
)

func TestPublishedSecretsAreRefused(t *testing.T) {
	for _, secret := range published {
		for name, s := range map[string]string{"as is": secret, "with a newline": secret + "\n", "upper case": strings.ToUpper(secret)} {
			if Check(s) == nil {
				t.Errorf("%q %s passes", secret, name)
			}
		}
	}
}

func TestShortAndRegularSecretsAreRefused(t *testing.T) {
	for _, secret := range []string{"", "secret", "changeme", "kJ8#mQ2$vX5&zL9!pR4@wT7%yN1^bC3", strings.Repeat("abc", 40)} {
		if Check(secret) == nil {
			t.Errorf("%q passes", secret)
		}
	}
}

func TestRandomSecretsPass(t *testing.T) {
	for range 100 {
		for _, secret := range []string{hex.EncodeToString([]byte(rand.Text())), rand.Text() + rand.Text()} {
			if err := Check(secret); err != nil {
				t.Errorf("%q: %v", secret, err)
			}
		}
	}
}

func TestErrorDoesNotHoldTheSecret(t *testing.T) {
	const secret = "hunter2-hunter2"
	if err := Check(secret); err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("Check says %v", err)
	}
}
