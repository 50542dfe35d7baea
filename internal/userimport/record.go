package userimport

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/password/passhash"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// legacyIterations is the PBKDF2 cost of the old records; it was not stored.
const legacyIterations = 4096

// members are the members of a record. Besides password_hash, a password
// may stand as the old system kept it (the digest in "password", and "salt") or
// as Keycloak exports it ("secretData" and "credentialData").
var members = []string{
	"id", "username", "email", "email_verified", "name", "scope", "roles", "attributes", "disabled", "created_at", "password_hash",
	"password", "salt", "secretData", "credentialData",
}

// CheckMember refuses what no record has. It quotes names only: where a
// file has lost its header, a hash may stand in the place of one.
func CheckMember(name string) error {
	if slices.Contains(members, name) {
		return nil
	}
	known := strings.Join(members, ", ")
	if name == "" || len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-. ", r)
	}) {
		return fmt.Errorf("a member has a name that is none; known are %s", known)
	}
	if ours := otherNames[strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))]; ours != "" {
		return fmt.Errorf("unknown member %q: did you mean %q? known are %s", name, ours, known)
	}
	return fmt.Errorf("unknown member %q: leave it out; known are %s", name, known)
}

// otherNames are what other systems call our members, in small letters and
// without marks between words.
var otherNames = map[string]string{
	"userid": "id", "localid": "id", "uid": "id", "uuid": "id", "sub": "id", "username": "username", "login": "username", "userlogin": "username",
	"mail": "email", "emailaddress": "email", "useremail": "email", "emailverified": "email_verified", "emailconfirmed": "email_verified", "verified": "email_verified",
	"displayname": "name", "fullname": "name", "scopes": "scope", "role": "roles", "realmroles": "roles", "groups": "roles", "appmetadata": "attributes", "customattributes": "attributes", "customclaims": "attributes", "createdat": "created_at", "created": "created_at",
	"passwordhash": "password_hash", "hash": "password_hash", "userpass": "password_hash", "encryptedpassword": "password_hash", "userpassword": "password_hash",
	"secretdata": "secretData", "credentialdata": "credentialData", "id": "id", "email": "email", "name": "name", "scope": "scope", "roles": "roles", "attributes": "attributes", "disabled": "disabled",
}

// Parse reads one line of an import file: a JSON object whose members are
// those of ParseFields, email_verified and disabled true or false, id text
// or a number, roles text or a list, attributes an object or its text, all others text.
// null stands for absent.
func Parse(line string, keyBytes int) (auth.ImportRecord, error) {
	fields := make(map[string]string)
	err := strictjson.Object(line, func(name string, v strictjson.Value) error {
		if err := CheckMember(name); err != nil {
			return err
		}
		text, err := valueOf(name, v)
		fields[name] = text
		return err
	})
	var twice *strictjson.DuplicateError
	if errors.As(err, &twice) {
		if unknown := CheckMember(twice.Name); unknown != nil {
			return auth.ImportRecord{}, fmt.Errorf("%w; or it is an attribute that stands twice", unknown)
		}
	}
	if err != nil {
		return auth.ImportRecord{}, err
	}
	return ParseFields(fields, keyBytes)
}

// valueOf takes strings, null for absent, and numbers for ids, which the
// old system's user list held.
func valueOf(name string, v strictjson.Value) (string, error) {
	if v.Kind() == strictjson.Null {
		return "", nil
	}
	switch name {
	case "email_verified", "disabled":
		if _, ok := v.Bool(); !ok {
			return "", fmt.Errorf("member %q must be true or false", name)
		}
		return v.Raw(), nil
	case "id":
		if n, ok := v.Int(); ok {
			return fmt.Sprint(n), nil
		}
	}
	text, ok := v.Text()
	switch {
	case ok:
		return text, nil
	case name == "roles" && v.Kind() == strictjson.Array:
		return wordsOf(v)
	case name == "attributes" && v.Kind() == strictjson.Members:
		return v.Raw(), nil
	}
	return "", fmt.Errorf("member %q must be a string", name)
}

// ParseFields reads a record from its members as text; an empty one is
// absent. Nothing is hashed. The members:
//
//   - id, username, email, name, scope: as in auth.NewUser
//   - roles: words separated by spaces
//   - attributes: a JSON object of texts, numbers, true and false
//   - email_verified: true (also when absent: the operator vouches) or false, in
//     any case, 1 or 0, yes or no
//   - disabled: the same, false when absent
//   - created_at: RFC 3339
//   - password_hash: any spelling that passhash.Parse reads; or password and
//     salt; or secretData and credentialData; or none of them, also by a mark
//     of passhash.NoPassword
//
// keyBytes is the old system's CRYPTO_BYTE_SIZE; 0 takes the length of each
// digest. Errors never quote a hash.
func ParseFields(fields map[string]string, keyBytes int) (auth.ImportRecord, error) {
	for name := range fields {
		if err := CheckMember(name); err != nil {
			return auth.ImportRecord{}, err
		}
	}
	for _, name := range members {
		if !utf8.ValidString(fields[name]) {
			return auth.ImportRecord{}, invalid(name, "must be UTF-8")
		}
	}
	r := auth.ImportRecord{NewUser: auth.NewUser{
		ID: storage.UserID(fields["id"]), Username: identifier.Trim(fields["username"]), Email: identifier.Trim(fields["email"]), Name: fields["name"], Scope: fields["scope"],
		Roles: strings.Fields(fields["roles"]),
	}}
	var err error
	if r.Attributes, err = parseAttributes(fields["attributes"]); err != nil {
		return r, err
	}
	verified, err := parseBool(fields, "email_verified", true)
	if err != nil {
		return r, err
	}
	r.EmailUnverified = !verified
	if r.Disabled, err = parseBool(fields, "disabled", false); err != nil {
		return r, err
	}
	if text := fields["created_at"]; text != "" {
		if r.CreatedAt, err = time.Parse(time.RFC3339, text); err != nil {
			return r, invalid("created_at", "must be like 2006-01-02T15:04:05Z")
		}
	}
	r.PasswordHash, err = hashOf(fields, keyBytes)
	return r, err
}

func invalid(member, reason string) error {
	return &auth.InvalidError{Field: member, Reason: reason}
}

func parseBool(fields map[string]string, name string, absent bool) (bool, error) {
	switch strings.ToLower(fields[name]) { // spreadsheets write TRUE, databases 1
	case "":
		return absent, nil
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, invalid(name, "must be true or false")
}

// hashForms are the ways in which a password may stand in a record, with all
// the members that each needs.
var hashForms = []struct {
	members []string
	what    string
	read    func(fields map[string]string, keyBytes int) (passhash.Hash, error)
}{
	{[]string{"password_hash"}, `"password_hash"`, func(f map[string]string, _ int) (passhash.Hash, error) {
		return passhash.Parse(f["password_hash"])
	}},
	{[]string{"password", "salt"}, `"password" and "salt" of an old record`, func(f map[string]string, keyBytes int) (passhash.Hash, error) {
		hash, err := oldHash(f["password"], f["salt"], keyBytes)
		if err != nil {
			return passhash.Hash{}, err
		}
		return passhash.Parse(hash)
	}},
	{[]string{"secretData", "credentialData"}, `"secretData" and "credentialData" of Keycloak`, func(f map[string]string, _ int) (passhash.Hash, error) {
		return passhash.Keycloak(f["secretData"], f["credentialData"])
	}},
}

// hashOf returns the canonical spelling of the one password that a record
// may have.
func hashOf(fields map[string]string, keyBytes int) (string, error) {
	chosen := -1
	for i, form := range hashForms {
		given := func(member string) bool {
			if member == "password_hash" && passhash.NoPassword(fields[member]) {
				return false
			}
			return fields[member] != ""
		}
		switch {
		case !slices.ContainsFunc(form.members, given):
		case chosen >= 0:
			return "", fmt.Errorf("has both %s and members of %s; keep one", hashForms[chosen].what, form.what)
		case slices.ContainsFunc(form.members, func(m string) bool { return !given(m) }):
			return "", fmt.Errorf("needs both %s", form.what)
		default:
			chosen = i
		}
	}
	if chosen < 0 {
		return "", nil
	}
	h, err := hashForms[chosen].read(fields, keyBytes)
	if err != nil {
		return "", fmt.Errorf("password hash: %w", err)
	}
	return h.String(), nil
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
