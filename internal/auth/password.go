package auth

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// MaxPassword is the longest password in bytes. Every byte of it counts; a
// longer one is refused before any hashing.
const MaxPassword = 1024

// Argon2 holds the cost of argon2id (RFC 9106).
type Argon2 struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

// DefaultArgon2 is the OWASP Password Storage Cheat Sheet's first choice.
var DefaultArgon2 = Argon2{Memory: 19456, Time: 2, Threads: 1}

// Limits for costs, also for those read from stored hashes: a planted hash must
// not make us allocate 4 GiB.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 32
	maxThreads = 16
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
	if p[2] < 1 || p[2] > maxThreads || p[1] < 1 || p[1] > maxTime || p[0] < 8*p[2] || p[0] > maxMemory {
		return a, fmt.Errorf("argon2 cost %q: out of range (m %d to %d KiB and at least 8 times p, t 1 to %d, p 1 to %d)", s, 8, maxMemory, maxTime, maxThreads)
	}
	return Argon2{Memory: uint32(p[0]), Time: uint32(p[1]), Threads: uint8(p[2])}, nil
}

func (a Argon2) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", a.Memory, a.Time, a.Threads)
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

// Hasher hashes and checks passwords, as many at a time as there are cores,
// with a bounded queue behind them: memory and latency stay bounded however
// many people log in.
type Hasher struct {
	cost    Argon2
	decoy   phc
	permits chan struct{} // held for as long as a hash is made
	queue   chan struct{} // waiting or working
}

// queuePerCore bounds the wait: at 34 ms a hash, 64 in line per core wait about
// two seconds.
const queuePerCore = 64

// The decoy's salt and key belong to no password. Compiled in, because hashing
// at start would cost every start 34 ms.
const (
	decoySalt = "0DuMQpbGRSBPgcWxTTEA5g"
	decoyKey  = "ZkFpU2l4dGVlbkJ5dGVzT2ZOb3RoaW5nQXRBbGwhISE"
)

// NewHasher returns a hasher of the given cost.
func NewHasher(cost Argon2) (*Hasher, error) {
	if _, err := ParseArgon2(cost.String()); err != nil {
		return nil, err
	}
	decoy, err := parsePHC("$argon2id$v=19$" + cost.String() + "$" + decoySalt + "$" + decoyKey)
	if err != nil {
		return nil, fmt.Errorf("decoy hash: %w", err)
	}
	cores := runtime.GOMAXPROCS(0)
	return &Hasher{
		cost:    cost,
		decoy:   decoy,
		permits: make(chan struct{}, cores),
		queue:   make(chan struct{}, cores*(1+queuePerCore)),
	}, nil
}

// Hash returns the PHC string of the password, or ErrBusy.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails, crypto/rand
	p := phc{id: "argon2id", cost: h.cost, salt: salt}
	key, err := h.work(ctx, func() []byte { return p.derive(normalize(password), keyLength) })
	if err != nil {
		return "", err
	}
	p.key = key
	return p.String(), nil
}

// Verify checks the password against a PHC string and says whether the hash is
// weaker than what Hash makes now. An empty hash stands for "no such user or no
// password": the decoy is checked, at the same cost, and never matches.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, weak bool, err error) {
	p := h.decoy
	if hash != "" {
		if p, err = parsePHC(hash); err != nil {
			return false, false, fmt.Errorf("reading stored hash: %w", err)
		}
	}
	matched, err := h.work(ctx, func() []byte {
		if p.matches(password) {
			return p.key
		}
		return nil
	})
	if err != nil {
		return false, false, err
	}
	return matched != nil && hash != "", p.weakerThan(h.cost), nil
}

// work runs f on one of the permits. A caller whose ctx ends leaves the queue,
// but not f once it runs: otherwise impatient clients could start any number of
// hashes.
func (h *Hasher) work(ctx context.Context, f func() []byte) ([]byte, error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	defer func() { <-h.queue }()
	select {
	case h.permits <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.permits }()
	return f(), nil
}

// normalize maps a password to NFKC, so that an é typed as one character or as
// two logs in alike on every keyboard (NIST SP 800-63B section 3.1.1.2).
func normalize(password string) string { return norm.NFKC.String(password) }

// phc is a parsed password hash (the PHC string format).
type phc struct {
	id         string // "argon2id" or "pbkdf2-sha512"
	cost       Argon2
	iterations int
	salt, key  []byte
}

var b64 = base64.RawStdEncoding

var errHash = errors.New("not a hash this program can check (argon2id and pbkdf2-sha512 in PHC form)")

func parsePHC(s string) (phc, error) {
	f := strings.Split(s, "$")
	switch {
	case len(f) == 6 && f[0] == "" && f[1] == "argon2id" && f[2] == "v=19":
		return parseArgon2PHC(f[3:])
	case len(f) == 5 && f[0] == "" && f[1] == "pbkdf2-sha512":
		return parsePBKDF2(f[2:])
	}
	return phc{}, errHash
}

func parseArgon2PHC(f []string) (phc, error) {
	cost, err := ParseArgon2(f[0])
	if err != nil {
		return phc{}, err
	}
	salt, err1 := b64.Strict().DecodeString(f[1])
	key, err2 := b64.Strict().DecodeString(f[2])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 128 {
		return phc{}, errHash
	}
	return phc{id: "argon2id", cost: cost, salt: salt, key: key}, nil
}

// maxIterations bounds PBKDF2: about 4 s of work for the longest key.
const (
	maxIterations = 1_000_000
	maxPBKDF2Key  = 1024
	maxSaltText   = 4096
)

// parsePBKDF2 reads the fields i=4096,l=512 / salt / digest of the system this
// one descends from. That system salted with the base64 text of its random
// bytes, as text. The field holds that text base64-encoded, but exports that
// hold the bare text are understood too: decoded, they are not base64 text.
func parsePBKDF2(f []string) (phc, error) {
	p, err := parseParams(f[0], "i", "l")
	if err != nil {
		return phc{}, err
	}
	salt, err1 := decodeBase64(f[1])
	key, err2 := decodeBase64(f[2])
	if err1 != nil || err2 != nil || len(f[1]) > maxSaltText || len(salt) < 8 || len(key) != p[1] || len(key) < 16 || len(key) > maxPBKDF2Key || p[0] < 1 || p[0] > maxIterations {
		return phc{}, errHash
	}
	if _, err := decodeBase64(string(salt)); err != nil {
		salt = []byte(f[1])
	}
	return phc{id: "pbkdf2-sha512", iterations: p[0], salt: salt, key: key}, nil
}

// decodeBase64 takes standard base64 with or without padding, and nothing else.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errHash
	}
	return b64.DecodeString(strings.TrimRight(s, "="))
}

// parseParams reads "a=1,b=2" with exactly the given names in their order.
func parseParams(s string, names ...string) ([]int, error) {
	parts := strings.Split(s, ",")
	if len(parts) != len(names) {
		return nil, fmt.Errorf("want the form %s=N", strings.Join(names, "=N,"))
	}
	values := make([]int, len(names))
	for i, part := range parts {
		digits, ok := strings.CutPrefix(part, names[i]+"=")
		n, err := strconv.ParseUint(digits, 10, 31)
		if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
			return nil, fmt.Errorf("want the form %s=N", strings.Join(names, "=N,"))
		}
		values[i] = int(n)
	}
	return values, nil
}

func (p phc) String() string {
	if p.id == "pbkdf2-sha512" {
		return fmt.Sprintf("$pbkdf2-sha512$i=%d,l=%d$%s$%s", p.iterations, len(p.key), b64.EncodeToString(p.salt), b64.EncodeToString(p.key))
	}
	return fmt.Sprintf("$argon2id$v=19$%s$%s$%s", p.cost, b64.EncodeToString(p.salt), b64.EncodeToString(p.key))
}

// matches tries a foreign hash on the raw bytes first: the system that made it
// did not normalize.
func (p phc) matches(password string) bool {
	normal := normalize(password)
	if p.id != "argon2id" && normal != password && p.equal(password) {
		return true
	}
	return p.equal(normal)
}

func (p phc) equal(password string) bool {
	return subtle.ConstantTimeCompare(p.derive(password, len(p.key)), p.key) == 1
}

func (p phc) derive(password string, length int) []byte {
	if p.id == "pbkdf2-sha512" {
		key, err := pbkdf2.Key(sha512.New, password, p.salt, p.iterations, length)
		if err != nil { // only for absurd lengths, which parsing refuses
			return nil
		}
		return key
	}
	return argon2.IDKey([]byte(password), p.salt, p.cost.Time, p.cost.Memory, p.cost.Threads, uint32(length))
}

func (p phc) weakerThan(want Argon2) bool {
	return p.id != "argon2id" || p.cost != want || len(p.salt) < saltLength || len(p.key) < keyLength
}

// RetryAfterBusy is what a caller turned away with ErrBusy should wait.
const RetryAfterBusy = 2 * time.Second

// UnmarshalText reads what ParseArgon2 does.
func (a *Argon2) UnmarshalText(text []byte) error {
	cost, err := ParseArgon2(string(text))
	*a = cost
	return err
}
