package passhash

import (
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// Argon2 holds the cost of argon2id (RFC 9106).
type Argon2 struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

// DefaultArgon2 is the OWASP Password Storage Cheat Sheet's first choice.
var DefaultArgon2 = Argon2{Memory: 19456, Time: 2, Threads: 1}

// Limits for costs, also for those read from stored hashes: a planted hash must
// not make us allocate 4 GiB, nor keep a core busy for many seconds. The time
// goes by memory times passes; with little memory each pass takes time of its own.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 64
	maxThreads = 16
	maxArgon2  = 1 << 20 // KiB times passes
	saltLength = 16
	keyLength  = 32
)

// ParseArgon2 reads "m=19456,t=2,p=1" (KiB, passes, lanes).
func ParseArgon2(s string) (Argon2, error) {
	var a Argon2
	p, err := parseParams(s, "m", "t", "p")
	if err != nil {
		return a, fmt.Errorf("argon2 cost %q: %w", s, err)
	}
	if p[2] < 1 || p[2] > maxThreads || p[1] < 1 || p[1] > maxTime || p[0] < 8*p[2] || p[0] > maxMemory || p[0]*p[1] > maxArgon2 {
		return a, fmt.Errorf("argon2 cost %q: out of range (m %d to %d KiB and at least 8 times p, t 1 to %d, p 1 to %d, m times t at most %d)", s, 8, maxMemory, maxTime, maxThreads, maxArgon2)
	}
	return Argon2{Memory: uint32(p[0]), Time: uint32(p[1]), Threads: uint8(p[2])}, nil
}

// String returns what ParseArgon2 reads.
func (a Argon2) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", a.Memory, a.Time, a.Threads)
}

// UnmarshalText reads what ParseArgon2 does.
func (a *Argon2) UnmarshalText(text []byte) error {
	cost, err := ParseArgon2(string(text))
	*a = cost
	return err
}

// BelowOWASP reports whether the cost is under every row of the OWASP Password
// Storage Cheat Sheet's table for argon2id.
func (a Argon2) BelowOWASP() bool {
	for _, row := range []Argon2{{47104, 1, 1}, {19456, 2, 1}, {12288, 3, 1}, {9216, 4, 1}, {7168, 5, 1}} {
		if a.Memory >= row.Memory && a.Time >= row.Time {
			return false
		}
	}
	return true
}

// argon2Hash is argon2id or argon2i in a PHC string.
type argon2Hash struct {
	variant   string
	cost      Argon2
	salt, key string
}

// New hashes the normalized password with argon2id and a random salt. The cost
// must be one that ParseArgon2 takes.
func New(cost Argon2, password string) Hash {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails, crypto/rand
	h := argon2Hash{variant: "argon2id", cost: cost, salt: string(salt)}
	h.key = string(h.derive(Normalize(password), keyLength))
	return Hash{h}
}

// WeakerThan reports whether New with the wanted cost makes another kind of
// hash than this one: then it should be replaced when the password is known.
func (h Hash) WeakerThan(want Argon2) bool {
	a, _ := h.form.(argon2Hash)
	return !h.argon2id() || a.cost != want || len(a.salt) < saltLength || len(a.key) < keyLength
}

func (h Hash) argon2id() bool {
	a, ok := h.form.(argon2Hash)
	return ok && a.variant == "argon2id"
}

// readArgon2 reads v=19 / m=N,t=N,p=N / salt / key. There is one spelling of
// each hash: every library writes this one.
func readArgon2(variant string) func([]string) (form, error) {
	return func(parts []string) (form, error) {
		if len(parts) != 4 || parts[0] != "v=19" {
			return nil, errForm
		}
		cost, err := ParseArgon2(parts[1])
		if err != nil {
			return nil, err
		}
		salt, err1 := b64.Strict().DecodeString(parts[2])
		key, err2 := b64.Strict().DecodeString(parts[3])
		if err1 != nil || err2 != nil {
			return nil, errForm
		}
		h := argon2Hash{variant, cost, string(salt), string(key)}
		if h.String() != "$"+variant+"$v=19$"+parts[1]+"$"+parts[2]+"$"+parts[3] { // the decoder skips line breaks
			return nil, errForm
		}
		return h, h.check()
	}
}

func (h argon2Hash) check() error {
	if len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < minKey || len(h.key) > 128 {
		return fmt.Errorf("a salt of %d and a key of %d bytes, want 8 to 64 and %d to 128", len(h.salt), len(h.key), minKey)
	}
	return nil
}

func (h argon2Hash) String() string {
	return fmt.Sprintf("$%s$v=19$%s$%s$%s", h.variant, h.cost, encodeBase64(h.salt), encodeBase64(h.key))
}

func (h argon2Hash) matches(password string) bool {
	return equal(h.derive(password, len(h.key)), h.key)
}

func (h argon2Hash) derive(password string, length int) []byte {
	derive := argon2.IDKey
	if h.variant == "argon2i" {
		derive = argon2.Key
	}
	return derive([]byte(password), []byte(h.salt), h.cost.Time, h.cost.Memory, h.cost.Threads, uint32(length))
}
