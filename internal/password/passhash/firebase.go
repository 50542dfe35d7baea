package passhash

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"strings"
)

// firebaseHash is Firebase Authentication's variant of scrypt: what scrypt
// derives encrypts the project's signer key, and that is the hash. The
// parameters are the project's; they stand in every hash so that each can be
// checked alone.
type firebaseHash struct {
	ln, r                        int // mem_cost and rounds
	separator, signer, salt, key string
}

// readFirebase reads ln=N,r=N,sep=SEPARATOR,key=SIGNER_KEY / salt / key: what
// the console calls mem_cost, rounds, base64_salt_separator and
// base64_signer_key, then salt and passwordHash of the user. The command line
// exports these in base64, the Admin SDK in base64url.
func readFirebase(parts []string) (form, error) {
	if len(parts) != 3 {
		return nil, errForm
	}
	params := strings.Split(parts[0], ",")
	if len(params) != 4 {
		return nil, errForm
	}
	cost, err := parseParams(params[0]+","+params[1], "ln", "r")
	if err != nil {
		return nil, err
	}
	separator, ok1 := strings.CutPrefix(params[2], "sep=")
	signer, ok2 := strings.CutPrefix(params[3], "key=")
	if !ok1 || !ok2 {
		return nil, errForm
	}
	h := firebaseHash{ln: cost[0], r: cost[1]}
	for _, field := range []struct {
		to   *string
		text string
	}{{&h.separator, separator}, {&h.signer, signer}, {&h.salt, parts[1]}, {&h.key, parts[2]}} {
		if *field.to, err = decodeBase64(strings.NewReplacer("-", "+", "_", "/").Replace(field.text)); err != nil {
			return nil, err
		}
	}
	return h, h.check()
}

func (h firebaseHash) check() error {
	if err := h.cost().check(); err != nil {
		return err
	}
	if len(h.key) != len(h.signer) {
		return fmt.Errorf("a hash of %d bytes with a signer key of %d; they have the same length", len(h.key), len(h.signer))
	}
	return checkLengths(h.salt+h.separator, h.key)
}

func (h firebaseHash) cost() scryptCost { return scryptCost{h.ln, h.r, 1} }

func (h firebaseHash) String() string {
	return fmt.Sprintf("$firebase-scrypt$ln=%d,r=%d,sep=%s,key=%s$%s$%s", h.ln, h.r,
		encodeBase64(h.separator), encodeBase64(h.signer), encodeBase64(h.salt), encodeBase64(h.key))
}

// matches encrypts the signer key with AES-256 in counter mode. The counter
// begins at zero: every key is used once.
func (h firebaseHash) matches(password string) bool {
	block, err := aes.NewCipher(h.cost().derive(password, h.salt+h.separator, 32))
	if err != nil { // only for costs that check refuses
		return false
	}
	derived := make([]byte, len(h.signer))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(derived, []byte(h.signer))
	return equal(derived, h.key)
}
