package latchkey

import (
	"encoding/base64"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// parts are a token's three parts, still encoded.
type parts struct{ header, payload, signature, input string }

// split finds exactly three non-empty parts (RFC 7515 section 7.1).
func split(token string) (parts, bool) {
	i := strings.IndexByte(token, '.')
	if i <= 0 {
		return parts{}, false
	}
	j := strings.IndexByte(token[i+1:], '.')
	if j <= 0 {
		return parts{}, false
	}
	j += i + 1
	p := parts{token[:i], token[i+1 : j], token[j+1:], token[:j]}
	return p, p.signature != "" && strings.IndexByte(p.signature, '.') < 0
}

// decode takes canonical base64url alone: no padding, no line breaks (which
// encoding/base64 would skip), no set bits after the last byte.
func decode(dst []byte, text string) ([]byte, error) {
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errBase64
	}
	b, err := base64url.AppendDecode(dst, []byte(text))
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}

var base64url = base64.RawURLEncoding.Strict()

func decodePayload(p parts) (string, error) {
	var buf [1024]byte
	payload, err := decode(buf[:0], p.payload)
	return string(payload), err
}

// header holds the members that are looked at. jwk, jku, x5u and x5c are not:
// keys come from the configuration alone (RFC 8725 section 3.10).
type header struct {
	alg      Algorithm
	kid, typ string
	hasKid   bool
}

// A signedHeader is one that a good signature covered, as it was spelled.
type signedHeader struct {
	part string
	header
}

// header reads a header, unless it is spelled like the last good one: all tokens
// of a key have the same.
func (iss *issuer) header(part string) (h header, known bool, err error) {
	if last := iss.lastHeader.Load(); last != nil && last.part == part {
		return last.header, true, nil
	}
	h, err = parseHeader(part)
	return h, false, err
}

func parseHeader(part string) (header, error) {
	var h header
	var buf [512]byte
	doc, err := decode(buf[:0], part)
	if err != nil {
		return h, err
	}
	hasAlg := false
	err = strictjson.Object(string(doc), func(name string, v strictjson.Value) error {
		text, isString := v.Text()
		switch name {
		case "alg":
			h.alg, hasAlg = canonical(Algorithm(text)), true
		case "kid":
			h.kid, h.hasKid = text, true
		case "typ":
			h.typ = text
		case "crit", "b64", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c":
			return errExtension // RFC 7515 section 4.1.11, RFC 7797, RFC 7516
		default:
			return wrongCase(name, headerNames, errHeaderCase)
		}
		if !isString {
			return errHeaderMember
		}
		return nil
	})
	switch {
	case err != nil:
		return h, refusal(err, errHeaderJSON)
	case !hasAlg:
		return h, errNoAlgorithm
	}
	return h, nil
}

var headerNames = []string{"alg", "kid", "typ", "crit", "b64", "zip", "enc"}

// wrongCase refuses names that another reader might take for ours (RFC 7515
// section 4: names are compared exactly).
func wrongCase(name string, ours []string, refuse error) error {
	ascii := isASCII(name) // other letters fold to ours with another length
	for _, own := range ours {
		if (len(name) == len(own) || !ascii) && strings.EqualFold(name, own) {
			return refuse
		}
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// refusal passes our own refusals on and turns errors of the JSON reader into
// the given one.
func refusal(err error, bad *TokenError) error {
	if own, ok := err.(*TokenError); ok {
		return own
	}
	return bad
}

func verifySignature(key *Key, p parts) error {
	var buf [512]byte // RS256 with 4096 bits
	sig, err := decode(buf[:0], p.signature)
	if err != nil {
		return err
	}
	if !key.verify([]byte(p.input), sig) {
		return errSignature
	}
	return nil
}
