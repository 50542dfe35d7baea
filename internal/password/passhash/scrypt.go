package passhash

import (
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// scryptCost is the cost of scrypt (RFC 7914), with N as its logarithm.
type scryptCost struct{ ln, r, p int }

// Limits of scrypt: of memory in bytes; of memory times p, which is what the time
// goes by, 2 s at most on a quiet machine; and of r times p, the blocks of 128 bytes that it
// begins and ends with, which take memory and time for any N.
const (
	maxScryptMemory = 256 << 20
	maxScryptWork   = 512 << 20
	maxScryptBlocks = 1 << 16
)

func (c scryptCost) check() error {
	inRange := c.ln >= 1 && c.ln <= 20 && c.r >= 1 && c.r <= maxScryptBlocks && c.p >= 1 && c.p <= maxScryptBlocks/c.r
	if !inRange || 128*c.r<<c.ln > maxScryptMemory || 128*c.r<<c.ln*c.p > maxScryptWork {
		return fmt.Errorf("scrypt cost ln=%d,r=%d,p=%d: out of range (128·r·2^ln at most %d MiB, times p at most %d MiB; r·p at most %d)",
			c.ln, c.r, c.p, maxScryptMemory>>20, maxScryptWork>>20, maxScryptBlocks)
	}
	return nil
}

func (c scryptCost) derive(password, salt string, length int) []byte {
	key, err := scrypt.Key([]byte(password), []byte(salt), 1<<c.ln, c.r, c.p, length)
	if err != nil { // only for costs that check refuses
		return nil
	}
	return key
}

// scryptHash is scrypt in its PHC spelling.
type scryptHash struct {
	cost      scryptCost
	salt, key string
}

func readScrypt(parts []string) (form, error) {
	if len(parts) != 3 {
		return nil, errForm
	}
	p, err := parseParams(parts[0], "ln", "r", "p")
	if err != nil {
		return nil, err
	}
	salt, key, err := decodePair(parts[1], parts[2])
	if err != nil {
		return nil, err
	}
	return newScrypt(scryptCost{p[0], p[1], p[2]}, salt, key)
}

// readDjangoScrypt reads N / salt / r / p / key, where the salt is its own text.
func readDjangoScrypt(parts []string) (form, error) {
	if len(parts) != 5 {
		return nil, errForm
	}
	cost, err := parseScryptCost(parts[0], parts[2], parts[3])
	if err != nil {
		return nil, err
	}
	key, err := decodeBase64(parts[4])
	if err != nil {
		return nil, err
	}
	return newScrypt(cost, parts[1], key)
}

// readWerkzeugScrypt reads N:r:p / salt / key, where the salt is its own text.
func readWerkzeugScrypt(parts []string) (form, error) {
	cost := strings.Split(parts[0], ":")
	if len(parts) != 3 || len(cost) != 3 {
		return nil, errForm
	}
	c, err := parseScryptCost(cost[0], cost[1], cost[2])
	if err != nil {
		return nil, err
	}
	key, err := decodeHex(parts[2])
	if err != nil {
		return nil, err
	}
	return newScrypt(c, parts[1], key)
}

func parseScryptCost(n, r, p string) (scryptCost, error) {
	var values [3]int
	for i, s := range []string{n, r, p} {
		v, err := number(s)
		if err != nil {
			return scryptCost{}, err
		}
		values[i] = v
	}
	if bits.OnesCount(uint(values[0])) != 1 {
		return scryptCost{}, fmt.Errorf("scrypt cost N=%d: not a power of two", values[0])
	}
	return scryptCost{bits.TrailingZeros(uint(values[0])), values[1], values[2]}, nil
}

func newScrypt(cost scryptCost, salt, key string) (form, error) {
	if err := cost.check(); err != nil {
		return nil, err
	}
	return scryptHash{cost, salt, key}, checkLengths(salt, key)
}

func (h scryptHash) String() string {
	return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", h.cost.ln, h.cost.r, h.cost.p, encodeBase64(h.salt), encodeBase64(h.key))
}

func (h scryptHash) matches(password string) bool {
	return equal(h.cost.derive(password, h.salt, len(h.key)), h.key)
}
