package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// TestES256NoncesFollowFromTheInput signs RFC 6979's example (section A.2.5).
func TestES256NoncesFollowFromTheInput(t *testing.T) {
	secret, err := hex.DecodeString("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
	if err != nil {
		t.Fatal(err)
	}
	const want = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" +
		"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
	if sig, err := (ecdsaSigner{key}).sign([]byte("sample")); err != nil || hex.EncodeToString(sig) != want {
		t.Errorf("got %x, %v; want %s", sig, err, want)
	}
}

// TestES256NumbersKeepTheirWidth: one signature in 128 has a number that begins
// with a zero byte.
func TestES256NumbersKeepTheirWidth(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short := 0
	for i := range 3000 {
		input := fmt.Append(nil, i)
		sig, err := ecdsaSigner{key}.sign(input)
		if err != nil || len(sig) != 64 {
			t.Fatalf("%x, %v", sig, err)
		}
		if sig[0] == 0 || sig[32] == 0 {
			short++
		}
		digest := sha256.Sum256(input)
		if !ecdsa.Verify(&key.PublicKey, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
			t.Fatalf("%s: %x does not verify", input, sig)
		}
	}
	if short == 0 {
		t.Error("no number began with a zero byte; the test has shown nothing")
	}
}

func FuzzRawSignature(f *testing.F) {
	f.Add("\x30\x06\x02\x01\x01\x02\x01\x02")
	f.Add("\x30\x48\x02\x22" + strings.Repeat("\x7f", 34) + "\x02\x22" + strings.Repeat("\x7f", 34))
	f.Fuzz(func(t *testing.T, der string) {
		rawSignature(make([]byte, 64), []byte(der)) // does not panic
	})
}
