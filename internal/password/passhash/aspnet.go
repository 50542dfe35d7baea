package passhash

import (
	"encoding/binary"
	"fmt"
)

// ASP.NET Identity writes base64 without a prefix: a format byte, and behind it
// in version 2 a salt of 16 bytes and a key of 32, in version 3 three numbers of
// 4 bytes (digest, rounds, length of the salt), the salt and the key. Both are
// PBKDF2.
const (
	aspNetV2, aspNetV3 = 0, 1
	aspNetV2Salt       = 16
	aspNetV2Length     = 1 + aspNetV2Salt + 32
	aspNetV2Rounds     = 1000
	aspNetV3Header     = 13
)

var aspNetDigests = []string{"sha1", "sha256", "sha512"}

// readASPNet reports false for what has another form.
func readASPNet(s string) (f form, ok bool, err error) {
	raw, err := decodeBase64(s)
	switch {
	case err != nil || raw == "":
		return nil, false, nil
	case raw[0] == aspNetV2 && len(raw) == aspNetV2Length:
		f, err = newPBKDF2("sha1", aspNetV2Rounds, raw[1:1+aspNetV2Salt], raw[1+aspNetV2Salt:])
		return f, true, err
	case raw[0] != aspNetV3 || len(raw) < aspNetV3Header+minKey:
		return nil, false, nil
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32([]byte(raw[at : at+4])) }
	digest, rounds, salt := number(1), number(5), number(9)
	if digest >= uint32(len(aspNetDigests)) || uint64(salt) > uint64(len(raw)-aspNetV3Header) {
		return nil, false, nil
	}
	if rounds > 1<<31-1 {
		return nil, true, fmt.Errorf("PBKDF2 rounds %d: out of range", rounds)
	}
	body := raw[aspNetV3Header:]
	f, err = newPBKDF2(aspNetDigests[digest], int(rounds), body[:salt], body[salt:])
	return f, true, err
}
