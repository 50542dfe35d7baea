package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Totals are what two stores are compared by.
type Totals map[Kind]Total

// A Total is the number of records of one kind, and a digest that does not depend on
// their order: the sum of the SHA-256 of each.
type Total struct {
	Count  int64  `json:"count"`
	Digest Digest `json:"digest"`
}

// A Digest is a number of 256 bits.
type Digest [sha256.Size]byte

// MarshalText writes it in hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("%q is no digest", text)
	}
	copy(d[:], raw)
	return nil
}

func (d Digest) plus(other Digest) (sum Digest) {
	n := new(big.Int).Add(new(big.Int).SetBytes(d[:]), new(big.Int).SetBytes(other[:]))
	bytes := n.FillBytes(make([]byte, sha256.Size+1))
	copy(sum[:], bytes[1:]) // without the carry
	return sum
}

// Add counts a record.
func (t Totals) Add(r Record) {
	kind := KindOf(r)
	total := t[kind]
	total.Count++
	total.Digest = total.Digest.plus(digest(kind, r))
	t[kind] = total
}

// Records is how many there are of all kinds.
func (t Totals) Records() (n int64) {
	for _, total := range t {
		n += total.Count
	}
	return n
}

// Difference says in which kinds the totals differ; "": in none.
func (t Totals) Difference(other Totals) string {
	var all []string
	for _, kind := range Kinds() {
		if a, b := t[kind], other[kind]; a.Count != b.Count {
			all = append(all, fmt.Sprintf("%d and %d %s", a.Count, b.Count, kind))
		} else if a != b {
			all = append(all, fmt.Sprintf("other content in %d %s", a.Count, kind))
		}
	}
	return strings.Join(all, ", ")
}

// digest covers every member of a record, those to come too.
func digest(kind Kind, r Record) (d Digest) {
	h := sha256.New()
	writeText(h, string(kind))
	writeValue(h, reflect.ValueOf(r))
	h.Sum(d[:0])
	return d
}

// writeValue writes a value so that different ones differ. No list and an empty one are
// the same, and moments are as finely kept as by stores.
func writeValue(h hash.Hash, v reflect.Value) {
	switch one := v.Interface().(type) {
	case time.Time:
		us := int64(0)
		if !one.IsZero() {
			us = one.UnixMicro()
		}
		writeNumber(h, us)
		return
	case []byte:
		writeText(h, string(one))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			writeValue(h, v.Field(i))
		}
	case reflect.Slice:
		writeNumber(h, int64(v.Len()))
		for i := range v.Len() {
			writeValue(h, v.Index(i))
		}
	case reflect.Map:
		texts := v.Interface().(map[string]string)
		writeNumber(h, int64(len(texts)))
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			writeText(h, key)
			writeText(h, texts[key])
		}
	case reflect.String:
		writeText(h, v.String())
	case reflect.Int64:
		writeNumber(h, v.Int())
	case reflect.Bool:
		n := int64(0)
		if v.Bool() {
			n = 1
		}
		writeNumber(h, n)
	default:
		panic(fmt.Sprintf("no digest of a %s", v.Type())) // TestDigest has one of every kind
	}
}

func writeNumber(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func writeText(h hash.Hash, s string) {
	writeNumber(h, int64(len(s)))
	h.Write([]byte(s))
}
