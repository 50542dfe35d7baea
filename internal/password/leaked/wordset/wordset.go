// Package wordset keeps tens of thousands of words in a few bytes each, in a
// form that is searched where it lies: nothing is decoded at start.
//
// A Set is a Golomb-coded set. It holds the first 40 bits of each word's
// SHA-256, so that the words cannot be read from it, and a word that was never
// added is found with probability Len/2^40.
//
//	"ws1"            what this is
//	1 byte           k, the Rice parameter
//	4 bytes          how many fingerprints
//	1025 × 4 bytes   where each of 1024 blocks begins, in bits; then the end
//	bits             the blocks
//	8 zero bytes     so that 64 bits can be read anywhere
//
// The first 10 bits of a fingerprint choose its block. The other 30 are sorted
// there, and each is written as its distance d from the one before: d>>k ones
// and a zero, then the low k bits of d. Numbers are little-endian, bits count
// from the lowest.
package wordset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	magic     = "ws1"
	width     = 40
	blockBits = 10
	restBits  = width - blockBits
	blocks    = 1 << blockBits
	indexAt   = len(magic) + 1 + 4
	bodyAt    = indexAt + 4*(blocks+1)
	padding   = 8
)

// Fold appends word to dst in the spelling in which words are compared: NFKC,
// then lower case, letter by letter.
func Fold(dst []rune, word string) []rune {
	for _, r := range norm.NFKC.String(word) {
		dst = append(dst, unicode.ToLower(r))
	}
	return dst
}

// fingerprint returns the first 40 bits of the word's SHA-256.
func fingerprint(word []byte) uint64 {
	sum := sha256.Sum256(word)
	return binary.BigEndian.Uint64(sum[:8]) >> (64 - width)
}

// Build writes the Set of words. Their order, and how often each occurs, make no
// difference.
func Build(words []string) []byte {
	prints := make([]uint64, len(words))
	for i, word := range words {
		prints[i] = fingerprint([]byte(word))
	}
	slices.Sort(prints)
	prints = slices.Compact(prints)

	// The distances are spread exponentially; the best k is the logarithm of
	// their mean times ln 2.
	mean := uint64(1<<width) / uint64(max(len(prints), 1))
	k := min(bits.Len64(mean/1000*693)-1, restBits)

	var index []byte
	var body bitWriter
	next := 0
	for block := range uint64(blocks) {
		index = binary.LittleEndian.AppendUint32(index, uint32(body.n))
		last := uint64(0)
		for ; next < len(prints) && prints[next]>>restBits == block; next++ {
			rest := prints[next] & (1<<restBits - 1)
			d := rest - last
			for range d >> k {
				body.write(1, 1)
			}
			body.write(0, 1)
			body.write(d, k)
			last = rest
		}
	}
	index = binary.LittleEndian.AppendUint32(index, uint32(body.n))

	var out bytes.Buffer
	out.WriteString(magic)
	out.WriteByte(byte(k))
	out.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(prints))))
	out.Write(index)
	out.Write(body.b)
	out.Write(make([]byte, padding))
	return out.Bytes()
}

type bitWriter struct {
	b []byte
	n int // bits written
}

// write appends the low n bits of v, lowest first.
func (w *bitWriter) write(v uint64, n int) {
	for i := range n {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
}

// A Set is what Build wrote. Any other text makes its methods panic.
type Set string

// Len says how many fingerprints the set holds.
func (s Set) Len() int { return int(s.uint32(len(magic) + 1)) }

// Has says whether word, folded and in UTF-8, is in the set. It decodes about
// half of one block.
func (s Set) Has(word []byte) bool {
	p := fingerprint(word)
	block, want := int(p>>restBits), p&(1<<restBits-1)
	pos, end := s.uint32(indexAt+4*block), s.uint32(indexAt+4*block+4)
	k := s[len(magic)]
	for v := uint64(0); pos < end; {
		for s[bodyAt+int(pos/8)]>>(pos%8)&1 == 1 {
			v += 1 << k
			pos++
		}
		pos++ // the zero
		v += s.uint64(bodyAt+int(pos/8)) >> (pos % 8) & (1<<k - 1)
		pos += uint32(k)
		if v >= want {
			return v == want
		}
	}
	return false
}

func (s Set) uint32(at int) uint32 {
	b := s[at : at+4]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func (s Set) uint64(at int) uint64 {
	return uint64(s.uint32(at)) | uint64(s.uint32(at+4))<<32
}
