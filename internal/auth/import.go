package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/passhash"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// An ImportRecord is one user of another system, with the password hash as it
// was there.
type ImportRecord struct {
	NewUser
	PasswordHash string
}

// legacyIterations is the PBKDF2 cost of the old records; it was not stored.
const legacyIterations = 4096

// importMembers are the members of a line. The old records have "password"
// (the digest) and "salt" in place of "password_hash".
var importMembers = map[string]bool{
	"id": true, "username": true, "name": true, "scope": true, "email": true,
	"password_hash": true, "password": true, "salt": true,
}

// ParseImport reads one line of an import file: a JSON object with id,
// username, name, scope, email (optional) and password_hash (any spelling that
// passhash.Parse reads), or an old record as it is, with password and salt.
// keyBytes is the old system's CRYPTO_BYTE_SIZE; 0 takes the length of each
// digest.
func ParseImport(line string, keyBytes int) (ImportRecord, error) {
	m := make(map[string]string)
	err := strictjson.Object(line, func(name string, v strictjson.Value) error {
		if !importMembers[name] {
			return fmt.Errorf("unknown member %q", name)
		}
		text, ok := importValue(name, v)
		if !ok {
			return fmt.Errorf("member %q must be a string", name)
		}
		m[name] = text
		return nil
	})
	if err != nil {
		return ImportRecord{}, err
	}
	r := ImportRecord{NewUser: NewUser{ID: UserID(m["id"]), Username: m["username"], Name: m["name"], Scope: m["scope"], Email: m["email"]}}
	r.PasswordHash, err = importHash(m, keyBytes)
	return r, err
}

// importValue takes strings, null for absent, and numbers for ids, which the
// old system's user list held.
func importValue(name string, v strictjson.Value) (string, bool) {
	if v.Kind() == strictjson.Null {
		return "", true
	}
	if name == "id" && v.Kind() == strictjson.Number {
		n, ok := v.Int()
		return fmt.Sprint(n), ok
	}
	return v.Text()
}

func importHash(m map[string]string, keyBytes int) (string, error) {
	digest, salt, old := m["password"], m["salt"], m["password_hash"] == ""
	if old && (digest == "" || salt == "") {
		return "", errors.New(`needs "password_hash", or "password" and "salt" of an old record`)
	}
	if !old && (digest != "" || salt != "") {
		return "", errors.New(`has both "password_hash" and the members of an old record; keep one`)
	}
	hash := m["password_hash"]
	if old {
		var err error
		if hash, err = oldHash(digest, salt, keyBytes); err != nil {
			return "", err
		}
	}
	p, err := passhash.Parse(hash)
	if err != nil {
		return "", fmt.Errorf("password hash: %w", err)
	}
	return p.String(), nil
}

// oldHash writes an old record as a PHC string. Its salt is base64 text, and
// the old system salted with that text, not with the bytes.
func oldHash(digest, salt string, keyBytes int) (string, error) {
	key, err := decodeBase64(digest)
	if err != nil {
		return "", errors.New(`"password" of an old record must be the base64 digest`)
	}
	if keyBytes != 0 && keyBytes != len(key) {
		return "", fmt.Errorf(`"password" holds %d bytes, CRYPTO_BYTE_SIZE says %d`, len(key), keyBytes)
	}
	if _, err := decodeBase64(salt); err != nil {
		return "", errors.New(`"salt" of an old record must be base64 text`)
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$pbkdf2-sha512$i=%d,l=%d$%s$%s", legacyIterations, len(key), b64.EncodeToString([]byte(salt)), b64.EncodeToString(key)), nil
}

// decodeBase64 takes standard base64 with or without padding, and nothing else.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("a line break")
	}
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// Import creates the users, all of them or none. *InvalidError, ErrTaken.
func (s *Service) Import(ctx context.Context, records []ImportRecord) error {
	var b Batch
	for _, r := range records {
		u, err := s.newUser(r.NewUser)
		if err != nil {
			return err
		}
		u.PasswordHash = r.PasswordHash
		b.CreateUsers = append(b.CreateUsers, u)
		b.Events = append(b.Events, s.adminEvent(EventImported, u))
	}
	return s.Store.Commit(ctx, b)
}

// CheckImport says what is wrong with a record, without storing it.
func (s *Service) CheckImport(r ImportRecord) error {
	_, err := s.newUser(r.NewUser)
	return err
}

// MarshalJSON shows a user to operators, without the password hash.
func (u User) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"id": u.ID, "username": u.Username, "email": u.Email, "name": u.Name,
		"scope": u.Scope, "disabled": u.Disabled, "has_password": u.PasswordHash != "",
		"created_at": u.CreatedAt.UTC(), "updated_at": u.UpdatedAt.UTC(),
	})
}

// String keeps the password hash out of logs.
func (u User) String() string {
	return strings.TrimSpace("user " + string(u.ID) + " " + u.Username)
}
