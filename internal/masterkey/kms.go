package masterkey

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// purpose is authenticated with what is sealed (the encryption context of KMS): a policy
// can permit Decrypt for master keys alone, and CloudTrail says what was opened.
var purpose = map[string]string{"purpose": "latchkey master key"}

func (s Source) keyCall(action, key string) call {
	return call{awsaccess.Right{Actions: []string{"kms:" + action}, Resource: "the key " + key}, s}
}

// Seal seals a master key by a key of KMS: an id, an alias or an ARN.
func (c Client) Seal(ctx context.Context, kmsKey string, key keyring.MasterKey) (Source, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	s := Source{Kind: KMS, Name: kmsKey}
	if len(kmsKey) > maxName || !regexp.MustCompile(names[KMS]).MatchString(kmsKey) {
		return Source{}, fmt.Errorf("the key of KMS must be like %s", examples[KMS])
	}
	api, err := c.client(s)
	if err != nil {
		return Source{}, err
	}
	raw, err := base64.StdEncoding.DecodeString(key.Encode())
	if err != nil { // never: it is what Encode writes
		return Source{}, err
	}
	in := struct {
		KeyId             string
		Plaintext         []byte
		EncryptionContext map[string]string
	}{kmsKey, raw, purpose}
	var out struct{ CiphertextBlob []byte }
	if err := api.Do(ctx, awsaccess.KMS, "Encrypt", in, &out); err != nil {
		return Source{}, sealing(s.keyCall("Encrypt", kmsKey), err)
	}
	s.sealed = out.CiphertextBlob
	return Parse(s.String()) // what is printed can be read
}

// decrypt names the key. Otherwise an attacker who can change the setting could have us open
// what another key has sealed.
func decrypt(ctx context.Context, api *awsaccess.Client, s Source) (string, error) {
	in := struct {
		CiphertextBlob    []byte
		KeyId             string
		EncryptionContext map[string]string
	}{s.sealed, s.Name, purpose}
	var out struct{ Plaintext []byte }
	if err := api.Do(ctx, awsaccess.KMS, "Decrypt", in, &out); err != nil {
		return "", sealing(s.keyCall("Decrypt", s.Name), err)
	}
	return encode(out.Plaintext), nil
}

// sealing explains the errors that KMS has of its own.
func sealing(c call, err error) error {
	hint := ""
	switch awsaccess.Code(err) {
	case "InvalidCiphertextException", "IncorrectKeyException":
		hint = "it was sealed by another key, for another purpose, or is damaged: seal the master key again with `latchkey keys seal-master --kms KEY`"
	case "NotFoundException":
		hint = "KMS has no such key in this region and account; name it by its ARN"
	case "DisabledException", "KMSInvalidStateException":
		hint = "the key is disabled or about to be deleted: enable it, or cancel its deletion; without it the master key is lost"
	case "InvalidKeyUsageException":
		hint = "the key must be symmetric, for ENCRYPT_DECRYPT"
	default:
		return c.failed(err)
	}
	return fmt.Errorf("%w (hint: %s)", c.failed(err), hint)
}
