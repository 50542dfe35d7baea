package passhash

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
)

// sshaHash is one digest of the password and a salt, as LDAP servers keep it.
// It is fast to guess; all the more it should be replaced at the first login.
type sshaHash struct {
	scheme    string // of sshaDigests
	salt, key string
}

var sshaDigests = map[string]func() hash.Hash{
	"SSHA": sha1.New, "SSHA256": sha256.New, "SSHA384": sha512.New384, "SSHA512": sha512.New,
}

func readSSHA(scheme string) func([]string) (form, error) {
	return func(parts []string) (form, error) {
		if len(parts) != 1 {
			return nil, errForm
		}
		both, err := decodeBase64(parts[0])
		size := sshaDigests[scheme]().Size()
		if err != nil || len(both) < size {
			return nil, errForm
		}
		h := sshaHash{scheme, both[size:], both[:size]}
		return h, checkLengths(h.salt, h.key)
	}
}

func (h sshaHash) String() string {
	return "{" + h.scheme + "}" + base64.StdEncoding.EncodeToString([]byte(h.key+h.salt))
}

func (h sshaHash) matches(password string) bool {
	d := sshaDigests[h.scheme]()
	d.Write([]byte(password))
	d.Write([]byte(h.salt))
	return equal(d.Sum(nil), h.key)
}
