package passhash

import (
	"strconv"
	"strings"
)

// readSpringPBKDF2 reads the salt and the key in hex, one after the other. Spring
// Security writes no parameters: the id in braces stands for them.
func readSpringPBKDF2(digest string, rounds, salt int) func([]string) (form, error) {
	const key = 32
	return func(parts []string) (form, error) {
		raw, err := decodeHex(parts[0])
		if len(parts) != 1 || err != nil || len(raw) != salt+key {
			return nil, errForm
		}
		return newPBKDF2(digest, rounds, raw[:salt], raw[salt:])
	}
}

// readScryptS0 reads PARAMS / salt / key, where PARAMS in hex is the logarithm of
// N and a byte each of r and p.
func readScryptS0(parts []string) (form, error) {
	if len(parts) != 3 {
		return nil, errForm
	}
	p, err := strconv.ParseUint(parts[0], 16, 31)
	if err != nil {
		return nil, errForm
	}
	salt, key, err := decodePair(parts[1], parts[2])
	if err != nil {
		return nil, err
	}
	return newScrypt(scryptCost{int(p >> 16), int(p >> 8 & 0xFF), int(p & 0xFF)}, salt, key)
}

// readNodeScrypt reads SALT:KEY in hex, as better-auth and Lucia write it, with
// fixed parameters. The salt is its own text. It reports false for what has
// another form.
func readNodeScrypt(s string) (f form, ok bool, err error) {
	salt, key, ok := strings.Cut(strings.TrimPrefix(s, "s2:"), ":")
	if _, err := decodeHex(salt); !ok || err != nil || len(salt) < 16 || len(key) != 128 {
		return nil, false, nil
	}
	raw, err := decodeHex(key)
	if err != nil {
		return nil, false, nil
	}
	f, err = newScrypt(scryptCost{14, 16, 1}, salt, raw)
	return f, true, err
}
