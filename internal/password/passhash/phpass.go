package passhash

import (
	"crypto/md5"
	"fmt"
	"strings"
)

// phpassHash is the portable hash of phpass: MD5, repeated. WordPress up to 6.7
// writes it as $P$, phpBB 3.0 as $H$.
type phpassHash struct {
	ln        int    // the logarithm of the rounds
	salt, key string // as they are written
}

// phpass takes 7 to 30. Every round hashes the password, and 2^19 rounds of one
// of 1,024 bytes take about a second.
const (
	minPhpass     = 7
	maxPhpass     = 19
	phpassSalt    = 8
	phpassKeyText = 22
)

// phpass64 is the alphabet of the cost, the salt and the key.
const phpass64 = shaCrypt64

// readPhpass reads one part: a character of cost, 8 of salt, 22 of key.
func readPhpass(parts []string) (form, error) {
	s := parts[0]
	if len(parts) != 1 || len(s) != 1+phpassSalt+phpassKeyText || strings.Trim(s, phpass64) != "" {
		return nil, errForm
	}
	h := phpassHash{strings.IndexByte(phpass64, s[0]), s[1 : 1+phpassSalt], s[1+phpassSalt:]}
	if h.ln < minPhpass || h.ln > maxPhpass {
		return nil, fmt.Errorf("phpass rounds 2^%d: out of range (2^%d to 2^%d)", h.ln, minPhpass, maxPhpass)
	}
	if strings.IndexByte(phpass64, h.key[phpassKeyText-1]) > 3 { // 128 bits end in the middle of the last character
		return nil, errForm
	}
	return h, nil
}

func (h phpassHash) String() string { return "$P$" + phpass64[h.ln:h.ln+1] + h.salt + h.key }

func (h phpassHash) matches(password string) bool {
	sum := md5.Sum([]byte(h.salt + password))
	buf := append(sum[:], password...)
	for range 1 << h.ln {
		sum = md5.Sum(buf)
		copy(buf, sum[:])
	}
	return equal(encodePhpass(sum), h.key)
}

// encodePhpass writes groups of three bytes, the first one lowest.
func encodePhpass(sum [md5.Size]byte) []byte {
	text := make([]byte, 0, phpassKeyText)
	for i := 0; i < len(sum); i += 3 {
		value, chars := 0, 0
		for j, b := range sum[i:min(i+3, len(sum))] {
			value |= int(b) << (8 * j)
			chars = j + 2
		}
		for range chars {
			text = append(text, phpass64[value&0x3F])
			value >>= 6
		}
	}
	return text
}
