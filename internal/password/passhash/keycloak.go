package passhash

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// keycloakSecret and keycloakCredential are all members of Keycloak's two
// documents. An unknown one is refused: it might change the hash.
type keycloakSecret struct {
	Value                string              `json:"value"`
	Salt                 string              `json:"salt"`
	AdditionalParameters map[string][]string `json:"additionalParameters"`
}

type keycloakCredential struct {
	HashIterations       int                 `json:"hashIterations"`
	Algorithm            string              `json:"algorithm"`
	AdditionalParameters map[string][]string `json:"additionalParameters"`
}

var keycloakDigests = map[string]string{"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}

// Keycloak reads a password of Keycloak's realm export: secretData and
// credentialData of a credential whose type is "password".
func Keycloak(secretData, credentialData string) (Hash, error) {
	var secret keycloakSecret
	var credential keycloakCredential
	if err := decodeKeycloak(secretData, &secret); err != nil {
		return Hash{}, fmt.Errorf("secretData: %w", err)
	}
	if err := decodeKeycloak(credentialData, &credential); err != nil {
		return Hash{}, fmt.Errorf("credentialData: %w", err)
	}
	salt, key, err := decodePair(secret.Salt, secret.Value)
	if err != nil {
		return Hash{}, errors.New("secretData: value and salt must be base64")
	}
	f, err := credential.form(salt, key)
	if err != nil {
		return Hash{}, fmt.Errorf("credentialData: %w", err)
	}
	return Hash{f}, nil
}

func decodeKeycloak(text string, v any) error {
	if len(text) > maxText {
		return fmt.Errorf("%d bytes, at most %d are read", len(text), maxText)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func (c keycloakCredential) form(salt, key string) (form, error) {
	if digest, ok := keycloakDigests[c.Algorithm]; ok {
		return newPBKDF2(digest, c.HashIterations, salt, key)
	}
	if c.Algorithm == "argon2" {
		return c.argon2(salt, key)
	}
	return nil, fmt.Errorf("algorithm %q: known are pbkdf2, pbkdf2-sha256, pbkdf2-sha512 and argon2", c.Algorithm)
}

func (c keycloakCredential) argon2(salt, key string) (form, error) {
	p := make(map[string]string)
	for name, values := range c.AdditionalParameters {
		if len(values) != 1 {
			return nil, fmt.Errorf("additionalParameters: %q must have one value", name)
		}
		p[name] = values[0]
	}
	if v := p["version"]; v != "1.3" {
		return nil, fmt.Errorf("argon2 version %q: known is 1.3", v)
	}
	if t := p["type"]; t != "id" && t != "i" {
		return nil, fmt.Errorf("argon2 type %q: known are id and i", t)
	}
	if n := p["hashLength"]; n != fmt.Sprint(len(key)) {
		return nil, fmt.Errorf("hashLength %q with a value of %d bytes", n, len(key))
	}
	cost, err := ParseArgon2(fmt.Sprintf("m=%s,t=%d,p=%s", p["memory"], c.HashIterations, p["parallelism"]))
	if err != nil {
		return nil, err
	}
	h := argon2Hash{"argon2" + p["type"], cost, salt, key}
	return h, h.check()
}
