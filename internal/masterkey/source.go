// Package masterkey finds the master key where AWS keeps it: sealed by a key of KMS, or as
// a secret of Secrets Manager or a SecureString of Systems Manager's parameter store.
//
// A process opens its key once, at its start. What a source holds never appears in an
// error, and a source itself is no secret: it may stand in a template.
//
// Start at [Parse].
package masterkey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// A Kind is the service that has the key.
type Kind string

const (
	KMS            Kind = "kms"
	SecretsManager Kind = "secretsmanager"
	SSM            Kind = "ssm"
)

// A Source says where a master key is.
type Source struct {
	Kind Kind
	// Name is the key of KMS (an id, an alias or an ARN), the secret (a name or an ARN) or
	// the parameter (a name or an ARN).
	Name string

	sealed []byte // of KMS: the master key under the key of that name
}

// String is what Parse reads.
func (s Source) String() string {
	text := string(s.Kind) + ":" + s.Name
	if s.Kind == KMS {
		text += ":" + base64.StdEncoding.EncodeToString(s.sealed)
	}
	return text
}

const (
	maxName   = 2048 // of KMS, the longest
	maxSealed = 6144 // of KMS
	maxText   = len("kms:") + maxName + 1 + (maxSealed+2)/3*4
)

// ErrNoSource: the text names no service.
var ErrNoSource = errors.New("not a source of a master key")

// Parse reads where the master key is:
//
//	kms:KEY:CIPHERTEXT        sealed by a key of KMS, as Seal has made it
//	secretsmanager:NAME       a secret of Secrets Manager; an ARN in place of a name
//	ssm:NAME                  a SecureString of the parameter store; an ARN too
//
// ErrNoSource for a text that begins otherwise. No error shows the text.
func Parse(text string) (Source, error) {
	var s Source
	kind, rest, found := strings.Cut(text, ":")
	pattern := names[Kind(kind)]
	if !found || pattern == "" {
		return s, ErrNoSource
	}
	if len(text) > maxText {
		return s, fmt.Errorf("%s: the text is too long", kind)
	}
	s.Kind, s.Name = Kind(kind), rest
	if s.Kind == KMS {
		last := strings.LastIndexByte(rest, ':')
		if last < 0 {
			return Source{}, errSealed
		}
		var err error
		s.sealed, err = base64.StdEncoding.Strict().DecodeString(rest[last+1:])
		if err != nil || len(s.sealed) == 0 || len(s.sealed) > maxSealed || strings.ContainsAny(rest, "\r\n") {
			return Source{}, errSealed
		}
		s.Name = rest[:last]
	}
	if len(s.Name) > maxName || !regexp.MustCompile(pattern).MatchString(s.Name) {
		return Source{}, fmt.Errorf("%s: must be followed by a name or an ARN, like %s", kind, examples[s.Kind])
	}
	if _, err := keyring.ParseMasterKey(s.Name); err == nil { // which errors would show
		return Source{}, fmt.Errorf("%s: is followed by what looks like a master key: give the name of what holds it, or the key alone", kind)
	}
	if region, isARN := s.region(); isARN && region == "" {
		return Source{}, fmt.Errorf("%s: the ARN names no region; it must be like %s", kind, examples[s.Kind])
	}
	return s, nil
}

var errSealed = errors.New("kms: must be kms:KEY:CIPHERTEXT, as `latchkey keys seal-master --kms KEY` prints it")

// names are patterns, compiled at use: no start pays for those of the other kinds.
var names = map[Kind]string{
	KMS:            `^[A-Za-z0-9:/_-]+$`,
	SecretsManager: `^(arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]*:[0-9]*:secret:)?[A-Za-z0-9/_+=.@!-]+$`,
	SSM:            `^(arn:[a-z0-9-]+:ssm:[a-z0-9-]*:[0-9]*:parameter/)?[A-Za-z0-9/_.-]+$`,
}

var examples = map[Kind]string{
	KMS:            "alias/latchkey or arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
	SecretsManager: "latchkey/master-key or arn:aws:secretsmanager:eu-west-1:123456789012:secret:latchkey/master-key-AbCdEf",
	SSM:            "/latchkey/master-key or arn:aws:ssm:eu-west-1:123456789012:parameter/latchkey/master-key",
}

// region is that of an ARN.
func (s Source) region() (region string, isARN bool) {
	parts := strings.SplitN(s.Name, ":", 5)
	if parts[0] != "arn" {
		return "", false
	}
	if len(parts) < 5 {
		return "", true
	}
	return parts[3], true
}
