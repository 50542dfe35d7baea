package passhash

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

var b64 = base64.RawStdEncoding

// decodeBase64 takes standard base64 with or without padding, and nothing else.
func decodeBase64(s string) (string, error) {
	if strings.ContainsAny(s, "\r\n") {
		return "", errForm
	}
	raw, err := b64.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return "", errForm
	}
	return string(raw), nil
}

// decodePair decodes the salt and the key of a spelling that has both in base64.
func decodePair(salt, key string) (rawSalt, rawKey string, err error) {
	if rawSalt, err = decodeBase64(salt); err != nil {
		return "", "", err
	}
	rawKey, err = decodeBase64(key)
	return rawSalt, rawKey, err
}

func decodeHex(s string) (string, error) {
	raw, err := hex.DecodeString(s)
	if err != nil {
		return "", errForm
	}
	return string(raw), nil
}

func encodeBase64(s string) string { return b64.EncodeToString([]byte(s)) }

// number reads a decimal number as programs write it: no sign, no leading zero.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, errForm
	}
	return int(n), nil
}

// parseParams reads "a=1,b=2" with exactly the given names in their order.
func parseParams(s string, names ...string) ([]int, error) {
	want := fmt.Errorf("want the form %s=N", strings.Join(names, "=N,"))
	parts := strings.Split(s, ",")
	if len(parts) != len(names) {
		return nil, want
	}
	values := make([]int, len(names))
	for i, part := range parts {
		digits, ok := strings.CutPrefix(part, names[i]+"=")
		n, err := number(digits)
		if !ok || err != nil {
			return nil, want
		}
		values[i] = n
	}
	return values, nil
}
