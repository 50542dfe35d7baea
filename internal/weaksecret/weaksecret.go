// Package weaksecret knows secrets that protect nothing: too short, or printed
// in documentation and sample code, where every attacker's word list has them.
package weaksecret

import (
	"errors"
	"fmt"
	"strings"
)

// MinBytes is the shortest secret for HS256 (RFC 7518 section 3.2).
const MinBytes = 32

// minDistinct refuses "aaaa…" and the like; 32 random bytes have about 30
// distinct ones, 64 random hexadecimal digits all 16.
const minDistinct = 8

// published are secrets of 32 bytes and more that appear in documentation,
// samples and defaults. Shorter ones need no list.
var published = []string{
	// The sample configuration of the system this one descends from: as the
	// file holds it, and with the escapes read.
	`D5\x12\x03\xaa\xe6\x97\xe6\x1b\x9cjT~\x0c\x1f\xffg\xe1O\xef\xbeL\xc6\n`,
	"D5\x12\x03\xaa\xe6\x97\xe6\x1b\x9cjT~\x0c\x1f\xffg\xe1O\xef\xbeL\xc6\n",
	// jwt.io
	"your-256-bit-secret", "your-384-bit-secret", "your-512-bit-secret",
	"a-string-secret-at-least-256-bits-long",
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
	// RFC 7515 appendix A.1 and RFC 7520 section 3.5
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
	"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
	// Defaults and tutorials of frameworks and products
	"super-secret-jwt-token-with-at-least-32-characters-long",
	"your-super-secret-jwt-token-with-at-least-32-characters-long",
	"reallyreallyreallyreallyverysafe",
	"my-secret-token-to-change-in-production",
	"CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
	"404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
	"SecretKey012345678901234567890123456789012345678901234567890123456789",
	"SecretKey01234567890123456789012345345678999987654901234567890123456789",
	"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=",
	"ThisIsMyCustomSecretKey012345678",
	"this_is_a_secret_key_change_it_in_production",
	"this-is-a-very-secret-key-that-should-be-changed",
	"change-this-to-a-long-random-string-in-production",
	"your-secret-key-change-this-in-production",
	"your-super-secret-key-change-in-production",
	"thisisasecretkeythatshouldbechanged",
	"0123456789abcdef0123456789abcdef",
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	"abcdefghijklmnopqrstuvwxyz123456",
	"abcdefghijklmnopqrstuvwxyz012345",
	"12345678901234567890123456789012",
}

// Check says why a secret must not sign tokens, or nil. The error does not hold
// the secret.
func Check(secret string) error {
	plain := strings.TrimSpace(secret)
	for _, known := range published {
		if strings.EqualFold(plain, strings.TrimSpace(known)) {
			return errors.New("it has been published in documentation or sample code")
		}
	}
	if len(secret) < MinBytes {
		return fmt.Errorf("it has %d bytes, HS256 needs %d or more (RFC 7518 section 3.2)", len(secret), MinBytes)
	}
	distinct := make(map[byte]bool)
	for i := range len(secret) {
		distinct[secret[i]] = true
	}
	if len(distinct) < minDistinct {
		return fmt.Errorf("it repeats %d characters", len(distinct))
	}
	return nil
}
