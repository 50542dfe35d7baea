package passhash_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/password/passhash"
)

// cheap is a cost that tests can afford.
var cheap = passhash.Argon2{Memory: 8, Time: 1, Threads: 1}

func b64(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }

func mustParse(t testing.TB, s string) passhash.Hash {
	t.Helper()
	h, err := passhash.Parse(s)
	if err != nil {
		t.Fatalf("%.80s: %v", s, err)
	}
	return h
}

// sample is a line of testdata/every-kind.jsonl, in the form of an import file.
type sample struct {
	Username     string `json:"username"`
	PasswordHash string `json:"password_hash"`
	Plain        string `json:"plain"`
}

// samples are hashes made by other programs: argon2-cffi, bcrypt, passlib,
// Django and Werkzeug (Debian 12's), Python's hashlib, htpasswd -B,
// openssl passwd, mkpasswd. The one of Firebase is from the README of
// github.com/firebase/scrypt.
func samples(t testing.TB) []sample {
	t.Helper()
	data, err := os.ReadFile("testdata/every-kind.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestEveryKindIsChecked(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.Username, func(t *testing.T) {
			checkHash(t, mustParse(t, s.PasswordHash), s.Plain)
		})
	}
}

// checkHash holds a hash to its password, and to one spelling.
func checkHash(t *testing.T, h passhash.Hash, plain string) {
	t.Helper()
	if !h.Matches(plain) {
		t.Errorf("%s does not match %q", h, plain)
	}
	for _, wrong := range []string{"x" + plain, strings.ToUpper(plain), ""} {
		if wrong != plain && h.Matches(wrong) {
			t.Errorf("%s matches %q, want only %q", h, wrong, plain)
		}
	}
	if again, err := passhash.Parse(h.String()); err != nil || again != h || again.String() != h.String() {
		t.Errorf("%s is read as %s (%v)", h, again, err)
	}
	if n := len(h.String()); n > 8<<10 {
		t.Errorf("the spelling has %d bytes", n)
	}
}

// TestPublishedVectors: hashes from standards, and from the documentation and
// the tests of the programs that make them.
func TestPublishedVectors(t *testing.T) {
	fromHex := func(s string) string {
		raw, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawStdEncoding.EncodeToString(raw)
	}
	text := func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) }
	const drepper = "a very much longer text to encrypt.  This one even stretches over morethan one line."
	for name, c := range map[string]struct{ password, hash string }{
		"argon2i, test.c of the reference implementation": {"password",
			"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},
		"argon2id, test.c of the reference implementation": {"password",
			"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
		"PBKDF2 with SHA-1, RFC 6070 case 3": {"password",
			"$pbkdf2$4096$" + text("salt") + "$" + fromHex("4b007901b765489abead49d926f721d065a429c1")},
		"PBKDF2 with SHA-1, RFC 6070 case 5": {"passwordPASSWORDpassword",
			"$pbkdf2$4096$" + text("saltSALTsaltSALTsaltSALTsaltSALTsalt") + "$" + fromHex("3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038")},
		"PBKDF2 with SHA-256, RFC 7914 section 11": {"passwd",
			"$pbkdf2-sha256$1$" + text("salt") + "$" + fromHex("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"+
				"49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783")},
		"PBKDF2 with SHA-256, documentation of passlib": {"password",
			"$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdAw$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M"},
		"scrypt, RFC 7914 section 12, second": {"password",
			"$scrypt$ln=10,r=8,p=16$" + text("NaCl") + "$" + fromHex("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"+
				"2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640")},
		"scrypt, RFC 7914 section 12, third": {"pleaseletmein",
			"$scrypt$ln=14,r=8,p=1$" + text("SodiumChloride") + "$" + fromHex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"+
				"d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887")},
		"scrypt, tests of Django": {"l\u00e8tmein",
			"scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw=="},
		"SHA-256-crypt, Drepper":                         {"Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		"SHA-256-crypt of 10,000 rounds, Drepper":        {"Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		"SHA-256-crypt of 5,000 rounds, Drepper":         {"This is just a test", "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"},
		"SHA-256-crypt of a long password, Drepper":      {drepper, "$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"},
		"SHA-256-crypt of a short salt, Drepper":         {"we have a short salt string but not a short password", "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/"},
		"SHA-256-crypt of 123,456 rounds, Drepper":       {"a short string", "$5$rounds=123456$asaltof16chars..$gP3VQ/6X7UUEW3HkBn2w1/Ptq2jxPyzV/cZKmF/wJvD"},
		"SHA-256-crypt of the fewest rounds, Drepper":    {"the minimum number is still observed", "$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC"},
		"SHA-512-crypt, Drepper":                         {"Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		"SHA-512-crypt of 10,000 rounds, Drepper":        {"Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."},
		"SHA-512-crypt of 5,000 rounds, Drepper":         {"This is just a test", "$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"},
		"SHA-512-crypt of a long password, Drepper":      {drepper, "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1"},
		"SHA-512-crypt of a short salt, Drepper":         {"we have a short salt string but not a short password", "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0"},
		"SHA-512-crypt of 123,456 rounds, Drepper":       {"a short string", "$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1"},
		"SHA-512-crypt of the fewest rounds, Drepper":    {"the minimum number is still observed", "$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaTfF4ZEQpyUNGc0dqbpBYYBaHHrsX."},
		"Firebase scrypt, README of the program":         {"user1password", firebase + "$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="},
		"Firebase scrypt in base64url, as the SDK gives": {"user1password", firebase + "$42xEC-ixf3L2lw$lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ"},
	} {
		t.Run(name, func(t *testing.T) { checkHash(t, mustParse(t, c.hash), c.password) })
	}
}

const firebase = "$firebase-scrypt$ln=14,r=8,sep=Bw==,key=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="

// TestKeycloak: the first three are from realm exports that people publish with
// demo accounts; the others were made with Python's hashlib.
func TestKeycloak(t *testing.T) {
	const argon2 = `{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}`
	for name, c := range map[string]struct{ password, secret, credential string }{
		"argon2": {"secret",
			`{"value":"xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=","salt":"LRScGShC7shkdoU5B1UgUQ==","additionalParameters":{}}`, argon2},
		"argon2 of another realm": {"password",
			`{"value":"BruFLfFkjH/8erZ26NnrbkOrWiZuQyDRCHD9o0R6Scg=","salt":"Cf9AYCE5pAbb4CKEF0GUTA==","additionalParameters":{}}`, argon2},
		"pbkdf2-sha256": {"user1",
			`{"value":"9qur72LAICdhFeb2SpkJt2jbOYaxJ44g9T+E7bmJXxI=","salt":"AGHjXoWftkFxnk/dcZRNnA==","additionalParameters":{}}`,
			`{"hashIterations":27500,"algorithm":"pbkdf2-sha256","additionalParameters":{}}`},
		"pbkdf2-sha512": {"pa$$ wörd",
			`{"value":"+T0OfQ+4ws+xWqBlZjEQI8eTFRf4LGVs6LesFMajjgZnCwk8QxaWBZQJCBhXQuC+4My11DKMbxxB5Xm2avP0ZQ==","salt":"AAECAwQFBgcICQoLDA0ODw=="}`, `{"hashIterations":1000,"algorithm":"pbkdf2-sha512"}`},
		"pbkdf2": {"pa$$ wörd",
			`{"value":"I2/hByDkc2Q67+xh6SqctJJ5ZoHIUvZMhAH26tQPpWI8Hs4ax2UsN/ILHQ49g4YH5ASHPh3KG3uGNyXnx+N+XA==","salt":"AAECAwQFBgcICQoLDA0ODw=="}`, `{"hashIterations":1000,"algorithm":"pbkdf2"}`},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := passhash.Keycloak(c.secret, c.credential)
			if err != nil {
				t.Fatal(err)
			}
			checkHash(t, h, c.password)
		})
	}
}

func TestKeycloakRefusals(t *testing.T) {
	const secret = `{"value":"xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=","salt":"LRScGShC7shkdoU5B1UgUQ=="}`
	argon2 := func(more string) string {
		return `{"hashIterations":5,"algorithm":"argon2","additionalParameters":{` + more + `}}`
	}
	for name, c := range map[string]struct{ secret, credential, want string }{
		"no JSON":                {"hunter2", `{}`, "secretData"},
		"two objects":            {secret + secret, `{}`, "something follows"},
		"a member we ignore":     {`{"pepper":"hunter2"}`, `{}`, `unknown field "pepper"`},
		"a salt that is none":    {`{"value":"AAAA","salt":"!"}`, `{"algorithm":"pbkdf2"}`, "must be base64"},
		"no algorithm":           {secret, `{}`, `algorithm "": known are`},
		"bcrypt of an extension": {secret, `{"algorithm":"bcrypt","hashIterations":10}`, `algorithm "bcrypt": known are`},
		"rounds without end":     {secret, `{"algorithm":"pbkdf2-sha256","hashIterations":2000000000}`, "rounds 2000000000: out of range"},
		"rounds below zero":      {secret, `{"algorithm":"pbkdf2-sha256","hashIterations":-1}`, "rounds -1: out of range"},
		"argon2d":                {secret, argon2(`"type":["d"],"version":["1.3"]`), `argon2 type "d"`},
		"an old argon2":          {secret, argon2(`"type":["id"],"version":["1.0"]`), `version "1.0"`},
		"two values":             {secret, argon2(`"type":["id","i"]`), "must have one value"},
		"another length":         {secret, argon2(`"type":["id"],"version":["1.3"],"hashLength":["16"]`), `hashLength "16"`},
		"4 GiB":                  {secret, argon2(`"type":["id"],"version":["1.3"],"hashLength":["32"],"memory":["4194304"],"parallelism":["1"]`), "out of range"},
		"a document without end": {`{"value":"` + strings.Repeat("A", 9000) + `"}`, `{}`, "at most 8192"},
	} {
		h, err := passhash.Keycloak(c.secret, c.credential)
		if err == nil {
			t.Errorf("%s is taken, as %s", name, h)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %q, want it to speak of %q and not to quote secrets", name, err, c.want)
		}
	}
}

// TestAlteredHashesDoNotMatch alters the first character of the key: the last
// has bits that mean nothing.
func TestAlteredHashesDoNotMatch(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.Username, func(t *testing.T) {
			at := strings.LastIndexAny(s.PasswordHash, "$}:") + 1
			if strings.Contains(s.Username, "aspnet") {
				at = 44 // behind the salt
			}
			if strings.Contains(s.Username, "bcrypt") {
				at += 22 // the salt stands before the key
			}
			for _, i := range []int{at, len(strings.TrimRight(s.PasswordHash, "=")) - 1} {
				altered := s.PasswordHash[:i] + other(s.PasswordHash[i]) + s.PasswordHash[i+1:]
				h, err := passhash.Parse(altered)
				if err == nil && h.Matches(s.Plain) && h != mustParse(t, s.PasswordHash) {
					t.Errorf("with another character at %d the hash still matches: %s", i, altered)
				}
				if i == at && (err != nil || h.Matches(s.Plain)) {
					t.Errorf("%s: got %v, want a hash that does not match", altered, err)
				}
			}
		})
	}
}

// other returns a character of another value in hex and in every base64.
func other(c byte) string {
	if c == '8' {
		return "1"
	}
	return "8"
}

// TestKindsShareOneSpelling: what is stored does not tell who wrote it.
func TestKindsShareOneSpelling(t *testing.T) {
	key, keyHex := "AAECAwQFBgcICQoLDA0ODw", "000102030405060708090a0b0c0d0e0f"
	ssha := base64.StdEncoding.EncodeToString(make([]byte, 24))
	for written, want := range map[string]string{
		"argon2$argon2id$v=19$m=8,t=1,p=1$" + b64(8) + "$" + key:     "$argon2id$v=19$m=8,t=1,p=1$" + b64(8) + "$" + key,
		"pbkdf2_sha256$1000$seasalt$" + key + "==":                   "$pbkdf2-sha256$1000$c2Vhc2FsdA$" + key,
		"pbkdf2:sha256:1000$seasalt$" + keyHex:                       "$pbkdf2-sha256$1000$c2Vhc2FsdA$" + key,
		"{PBKDF2-SHA256}1000$c2Vhc2FsdA$" + key:                      "$pbkdf2-sha256$1000$c2Vhc2FsdA$" + key,
		"$pbkdf2-sha256$i=1000,l=16$c2Vhc2FsdA==$" + key:             "$pbkdf2-sha256$1000$c2Vhc2FsdA$" + key,
		"$pbkdf2-sha1$1000$c2Vhc2FsdA$" + key:                        "$pbkdf2$1000$c2Vhc2FsdA$" + key,
		"$pbkdf2$1000$++++$" + key:                                   "$pbkdf2$1000$....$" + key,
		"scrypt$1024$seasalt$8$1$" + key + "==":                      "$scrypt$ln=10,r=8,p=1$c2Vhc2FsdA$" + key,
		"scrypt:1024:8:1$seasalt$" + keyHex:                          "$scrypt$ln=10,r=8,p=1$c2Vhc2FsdA$" + key,
		"bcrypt$$2b$05$" + bcryptTail:                                "$2b$05$" + bcryptTail,
		"{CRYPT}$2y$05$" + bcryptTail:                                "$2y$05$" + bcryptTail,
		"$2b$05$" + bcryptTail[:21] + "z" + bcryptTail[22:]:          "$2b$05$" + bcryptTail[:21] + "u" + bcryptTail[22:],
		"$5$rounds=5000$salt$" + strings.Repeat(".", 43):             "$5$salt$" + strings.Repeat(".", 43),
		"{crypt}$6$salt$" + strings.Repeat(".", 86):                  "$6$salt$" + strings.Repeat(".", 86),
		"{SHA512-CRYPT}$6$salt$" + strings.Repeat(".", 86):           "$6$salt$" + strings.Repeat(".", 86),
		"{ssha}" + strings.TrimRight(ssha, "="):                      "{SSHA}" + ssha,
		"$pbkdf2-sha512$1000$" + textSalt + "$" + key:                "$pbkdf2-sha512$i=1000,l=16$" + textSalt + "$" + key,
		"$pbkdf2-sha512$i=1000,l=16$" + key + "$" + key:              "$pbkdf2-sha512$i=1000,l=16$QUFFQ0F3UUZCZ2NJQ1FvTERBME9Edw$" + key, // the bare salt
		"$pbkdf2-sha512$1000$" + b64(16) + "$" + key:                 "$pbkdf2-sha512$1000$" + b64(16) + "$" + key,
		"bcrypt_sha256$$2b$05$" + bcryptTail:                         "bcrypt_sha256$$2b$05$" + bcryptTail,
		"{BLF-CRYPT}$2y$05$" + bcryptTail:                            "$2y$05$" + bcryptTail,
		"{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$" + b64(8) + "$" + key: "$argon2id$v=19$m=8,t=1,p=1$" + b64(8) + "$" + key,
	} {
		if got := mustParse(t, written).String(); got != want {
			t.Errorf("%s is written as %s, want %s", written, got, want)
		}
	}
}

const (
	bcryptTail = "EZMWh24vqxuszJyMf2r3Ju5ShgFjV73w8dxkULtO52Ue3gE91M1ue"
	textSalt   = "YzJGc2RITmhiSFJ6WVd4MA" // base64 of base64 text
)

// TestBcryptTakesTheFirst72Bytes, as it does where the hash comes from.
func TestBcryptTakesTheFirst72Bytes(t *testing.T) {
	for _, s := range samples(t) {
		if s.Username != "bcrypt-long" {
			continue
		}
		h := mustParse(t, s.PasswordHash)
		if len(s.Plain) <= 72 || !h.Matches(s.Plain) || !h.Matches(s.Plain[:72]) || h.Matches(s.Plain[:71]) {
			t.Errorf("%d bytes: %v, 72 bytes: %v, 71 bytes: %v; want true, true, false",
				len(s.Plain), h.Matches(s.Plain), h.Matches(s.Plain[:72]), h.Matches(s.Plain[:71]))
		}
	}
}

// TestPasswordsAreTriedAsTheyCameAndNormalized: the hashes are of "café" in
// either form, made with hashlib.
func TestPasswordsAreTriedAsTheyCameAndNormalized(t *testing.T) {
	const composed, decomposed = "caf\u00e9", "cafe\u0301"
	ofComposed := mustParse(t, "$pbkdf2-sha256$1000$AAECAwQFBgcICQoLDA0ODw$3lz/RBdSsdEEND1C5UGPVVI1YF25UA.NdN.veJf7EMo")
	ofDecomposed := mustParse(t, "$pbkdf2-sha256$1000$AAECAwQFBgcICQoLDA0ODw$jJacIXMDBHMwmdMsm.FRvtL6aWRILpaslGdBOlfz8eM")
	for name, c := range map[string]struct {
		hash     passhash.Hash
		password string
		want     bool
	}{
		"composed, as it was":                    {ofComposed, composed, true},
		"composed, typed decomposed":             {ofComposed, decomposed, true},
		"decomposed, as it was":                  {ofDecomposed, decomposed, true},
		"decomposed, typed composed":             {ofDecomposed, composed, false}, // nor did it match there
		"ours, composed":                         {passhash.New(cheap, composed), composed, true},
		"ours, typed decomposed":                 {passhash.New(cheap, composed), decomposed, true},
		"ours of the decomposed, typed composed": {passhash.New(cheap, decomposed), composed, true},
		"argon2id of elsewhere, not normalized":  {mustParse(t, "$argon2id$v=19$m=8,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$NdjvDRJ1JMUiEODZShGJso9bzxR3egxtrEo/CmYQLUM"), "5 \u00b5m\u00b2", true},
		"argon2id of elsewhere, normalized":      {mustParse(t, "$argon2id$v=19$m=8,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$NdjvDRJ1JMUiEODZShGJso9bzxR3egxtrEo/CmYQLUM"), "5 \u03bcm2", false},
	} {
		if got := c.hash.Matches(c.password); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestNewHashesAreArgon2idWithARandomSalt(t *testing.T) {
	h, again := passhash.New(cheap, "password"), passhash.New(cheap, "password")
	if h == again {
		t.Errorf("two hashes of one password are alike: %s", h)
	}
	parts := strings.Split(h.String(), "$")
	if !strings.HasPrefix(h.String(), "$argon2id$v=19$m=8,t=1,p=1$") || len(parts) != 6 || len(parts[4]) != len(b64(16)) || len(parts[5]) != len(b64(32)) {
		t.Errorf("got %s, want argon2id with a salt of 16 and a key of 32 bytes", h)
	}
	checkHash(t, h, "password")
}

func TestWeakerThan(t *testing.T) {
	for _, s := range samples(t) {
		if h := mustParse(t, s.PasswordHash); !h.WeakerThan(passhash.DefaultArgon2) {
			t.Errorf("%s is not weaker than the default", h)
		}
	}
	for hash, want := range map[string]bool{
		"$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32):  false,
		"$argon2id$v=19$m=8,t=1,p=1$" + b64(64) + "$" + b64(64):  false,
		"$argon2id$v=19$m=16,t=1,p=1$" + b64(16) + "$" + b64(32): true, // not what is made now
		"$argon2id$v=19$m=8,t=1,p=1$" + b64(15) + "$" + b64(32):  true,
		"$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(31):  true,
		"$argon2i$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32):   true,
	} {
		if got := mustParse(t, hash).WeakerThan(cheap); got != want {
			t.Errorf("%s: got %v, want %v", hash, got, want)
		}
	}
}

func TestZeroHashMatchesNothing(t *testing.T) {
	var h passhash.Hash
	if h.Matches("") || h.Matches("x") || h.String() != "" || !h.WeakerThan(cheap) {
		t.Errorf("the zero Hash: %q", h)
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	salt, key := b64(16), b64(32)
	for name, c := range map[string]struct{ hash, want string }{
		"nothing":                          {"", "known are argon2id, argon2i, bcrypt"},
		"plain text":                       {"hunter2", "known are argon2id"},
		"MD5 in hex":                       {"5f4dcc3b5aa765d61d8327deb882cf99", "known are"},
		"text before it":                   {"x$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key, "known are"},
		"unsalted SHA":                     {"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "no salt"},
		"unsalted SHA-512":                 {"{SHA512}" + b64(64), "no salt"},
		"SSHA without salt":                {"{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "no salt"},
		"SSHA cut off":                     {"{SSHA256}" + b64(31), "want the form {SSHA256}BASE64"},
		"MD5-crypt":                        {"$1$saltstri$YMyguxXMBpd2TEZ.vS/3q1", "MD5-crypt is too weak"},
		"argon2d":                          {"$argon2d$v=19$m=8,t=1,p=1$" + salt + "$" + key, "argon2d is not for passwords"},
		"bcrypt of a faulty program":       {"$2x$05$" + bcryptTail, "want the form $2b$COST"},
		"bcrypt cut off":                   {"$2b$05$" + bcryptTail[:52], "want the form $2b$COST"},
		"bcrypt that takes a day":          {"$2b$31$" + bcryptTail, "cost 31: out of range (4 to 14)"},
		"bcrypt of cost 3":                 {"$2b$03$" + bcryptTail, "cost 3: out of range"},
		"bcrypt in another base64":         {"$2b$05$" + bcryptTail[:52] + "+", "want the form"},
		"another version":                  {"$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + key, "want the form $argon2id$v=19"},
		"no version":                       {"$argon2id$m=8,t=1,p=1$" + salt + "$" + key, "want the form"},
		"associated data":                  {"$argon2id$v=19$m=8,t=1,p=1,data=AAAA$" + salt + "$" + key, "want the form m=N,t=N,p=N"},
		"4 GiB":                            {"$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + key, "out of range"},
		"a thousand passes":                {"$argon2id$v=19$m=8,t=1000,p=1$" + salt + "$" + key, "out of range"},
		"argon2id that takes 6.5 s":        {"$argon2id$v=19$m=262144,t=32,p=1$" + salt + "$" + key, "m times t at most 1048576"},
		"a short salt":                     {"$argon2id$v=19$m=8,t=1,p=1$" + b64(7) + "$" + key, "salt of 7"},
		"a long salt":                      {"$argon2id$v=19$m=8,t=1,p=1$" + b64(65) + "$" + key, "salt of 65"},
		"no key":                           {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$", "key of 0"},
		"a short key":                      {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + b64(15), "key of 15"},
		"a long key":                       {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + b64(129), "key of 129"},
		"padded base64":                    {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "==$" + key, "without padding"},
		"set bits after the last byte":     {"$argon2id$v=19$m=8,t=1,p=1$" + salt[:21] + "B$" + key, "want the form"},
		"a line break":                     {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "\n$" + key, "want the form"},
		"one field more":                   {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "$", "want the form"},
		"no iterations":                    {"$pbkdf2-sha512$i=0,l=32$" + textSalt + "$" + key, "rounds 0: out of range"},
		"iterations without end":           {"$pbkdf2-sha512$i=2000001,l=32$" + textSalt + "$" + key, "out of range (1 to 2000000"},
		"a length that is another one's":   {"$pbkdf2-sha512$i=4096,l=33$" + textSalt + "$" + key, "l=33 with a digest of 32"},
		"a digest of 15 bytes":             {"$pbkdf2-sha512$i=4096,l=15$" + textSalt + "$" + b64(15), "digest of 15"},
		"a digest of 1,025 bytes":          {"$pbkdf2-sha512$i=4096,l=1025$" + textSalt + "$" + b64(1025), "digest of 1025"},
		"a salt of 7 bytes":                {"$pbkdf2-sha512$i=4096,l=32$" + b64(7) + "$" + key, "salt of 7"},
		"a salt without end":               {"$pbkdf2-sha512$i=4096,l=32$" + b64(4000) + "$" + key, "salt of"},
		"a line break in the salt":         {"$pbkdf2-sha512$i=4096,l=32$" + textSalt[:8] + "\n" + textSalt[8:] + "$" + key, "want the form"},
		"PBKDF2 with argon2's parameters":  {"$pbkdf2-sha512$m=8,t=1,p=1$" + textSalt + "$" + key, "want the form"},
		"argon2id with PBKDF2's parameter": {"$argon2id$v=19$i=4096,l=32$" + salt + "$" + key, "want the form"},
		"rounds that take 13 s":            {"$pbkdf2-sha512$i=1000000,l=1024$" + textSalt + "$" + b64(1024), "out of range (1 to 125000"},
		"two billion rounds":               {"$pbkdf2-sha256$2147483647$" + salt + "$" + key, "out of range (1 to 6000000"},
		"six million rounds of a long key": {"$pbkdf2-sha256$6000000$" + salt + "$" + b64(64), "out of range (1 to 3000000"},
		"rounds with a sign":               {"$pbkdf2-sha256$+1$" + salt + "$" + key, "want the form"},
		"rounds in Django's form":          {"pbkdf2_sha256$999999999$salt$" + key, "out of range"},
		"no salt in Django's form":         {"pbkdf2_sha256$1000$$" + key, "no salt"},
		"rounds in Werkzeug's form":        {"pbkdf2:sha256:999999999$salt$" + strings.Repeat("00", 32), "out of range"},
		"no hex in Werkzeug's form":        {"pbkdf2:sha256:1000$salt$" + key, "want the form"},
		"scrypt of 2^40":                   {"$scrypt$ln=40,r=8,p=1$" + salt + "$" + key, "ln=40,r=8,p=1: out of range"},
		"scrypt of 512 MiB":                {"$scrypt$ln=19,r=8,p=1$" + salt + "$" + key, "at most 256 MiB"},
		"scrypt with a wide r":             {"$scrypt$ln=1,r=2147483647,p=1$" + salt + "$" + key, "out of range"},
		"scrypt with a long p":             {"$scrypt$ln=17,r=8,p=5$" + salt + "$" + key, "times p at most 512 MiB"},
		"scrypt that begins with 512 MiB":  {"$scrypt$ln=1,r=8,p=524288$" + salt + "$" + key, "r·p at most 65536"},
		"scrypt of N = 1,000":              {"scrypt$1000$salt$8$1$" + key, "N=1000: not a power of two"},
		"scrypt of N = 0":                  {"scrypt:0:8:1$salt$00", "N=0: not a power of two"},
		"scrypt without p":                 {"scrypt:1024:8$salt$00", "want the form scrypt:N:R:P"},
		"Firebase without its key":         {"$firebase-scrypt$ln=14,r=8,sep=Bw==$" + salt + "$" + key, "want the form $firebase-scrypt$ln=N"},
		"Firebase of 2^40":                 {"$firebase-scrypt$ln=40,r=8,sep=Bw==,key=" + key + "$" + salt + "$" + key, "out of range"},
		"Firebase with a short hash":       {"$firebase-scrypt$ln=14,r=8,sep=Bw==,key=" + key + "$" + salt + "$" + salt, "same length"},
		"Firebase without salt":            {"$firebase-scrypt$ln=14,r=8,sep=,key=" + key + "$$" + key, "no salt"},
		"SHA-crypt without end":            {"$6$rounds=999999999$salt$" + strings.Repeat(".", 86), "rounds 999999999: out of range"},
		"SHA-crypt of 10 rounds":           {"$6$rounds=10$salt$" + strings.Repeat(".", 86), "out of range (1000 to 1000000)"},
		"SHA-crypt without salt":           {"$6$$" + strings.Repeat(".", 86), "no salt"},
		"SHA-crypt with a long salt":       {"$6$12345678901234567$" + strings.Repeat(".", 86), "salt of 17"},
		"SHA-crypt with another's key":     {"$6$salt$" + strings.Repeat(".", 43), "want the form $6$SALT$"},
		"SHA-crypt with a space":           {"$6$sa lt$" + strings.Repeat(".", 86), "visible ASCII"},
		"Spring's noop":                    {"{noop}hunter2", "the password itself"},
		"Dovecot's plain text":             {"{PLAIN}hunter2", "the password itself"},
		"MySQL's PASSWORD()":               {"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "MySQL"},
		"phpass of 2^30 rounds":            {"$P$S12345678" + strings.Repeat(".", 22), "2^30: out of range"},
		"phpass of two rounds":             {"$P$/12345678" + strings.Repeat(".", 22), "2^1: out of range"},
		"phpass with bits behind the end":  {"$P$B12345678" + strings.Repeat("z", 22), "want the form $P$"},
		"phpass with a short key":          {"$H$B12345678" + strings.Repeat(".", 21), "want the form $H$"},
		"phpass with a space":              {"$P$B1234 678" + strings.Repeat(".", 22), "want the form $P$"},
		"WordPress with a cost of 31":      {"$wp$2y$31$" + bcryptTail, "cost 31: out of range"},
		"ASP.NET of two billion rounds":    {aspNet(1, 2, 2_000_000_000, 16, 16+32), "out of range"},
		"ASP.NET of four billion rounds":   {aspNet(1, 1, 4_000_000_000, 16, 16+32), "out of range"},
		"ASP.NET without salt":             {aspNet(1, 1, 1000, 0, 32), "no salt"},
		"ASP.NET with a short key":         {aspNet(1, 1, 1000, 24, 24+8), "digest of 8"},
		"ASP.NET of another digest":        {aspNet(1, 3, 1000, 16, 16+32), "known are"},
		"ASP.NET with a salt beyond it":    {aspNet(1, 1, 1000, 4_000_000_000, 16+32), "known are"},
		"ASP.NET of version 4":             {aspNet(4, 1, 1000, 16, 16+32), "known are"},
		"Spring's PBKDF2, cut":             {"{pbkdf2}" + strings.Repeat("00", 39), "want the form {PBKDF2@SPRINGSECURITY_V5_5}"},
		"Spring's scrypt of 2^40":          {"{scrypt}$280801$" + salt + "$" + key, "ln=40,r=8,p=1: out of range"},
		"Node's scrypt, cut":               {strings.Repeat("0", 32) + ":" + strings.Repeat("0", 126), "known are"},
		"9,000 bytes":                      {"$6$" + strings.Repeat("x", 9000), "at most 8192 are read"},
	} {
		var h passhash.Hash
		var err error
		if n := allocated(func() { h, err = passhash.Parse(c.hash) }); n > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
		if err == nil {
			t.Errorf("%s is taken, as %.80s", name, h)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") ||
			!strings.HasPrefix(err.Error(), "not a hash this program can check: ") {
			t.Errorf("%s: got %q, want it to speak of %q and not to quote secrets", name, err, c.want)
		}
	}
}

// aspNet is a hash of ASP.NET Identity, of zeros behind its numbers.
func aspNet(version byte, digest, rounds, salt uint32, length int) string {
	raw := []byte{version}
	for _, n := range []uint32{digest, rounds, salt} {
		raw = binary.BigEndian.AppendUint32(raw, n)
	}
	return base64.StdEncoding.EncodeToString(append(raw, make([]byte, length)...))
}

// TestMarksOfNoPassword: what stands in the place of a hash where there is none.
func TestMarksOfNoPassword(t *testing.T) {
	for _, mark := range []string{"", "!", "!!", "*", "*LK*", "*NP*", "{CRYPT}!", "{crypt}*", "!$6$salt$" + zs + ".", "!" + strings.Repeat("x", 40)} {
		if !passhash.NoPassword(mark) {
			t.Errorf("%q is taken for a password", mark)
		}
	}
	for _, other := range []string{"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "x", "$6$salt$" + zs + ".", " ", "$P$B", "{noop}"} {
		if passhash.NoPassword(other) {
			t.Errorf("%q is taken for the mark of no password", other)
		}
	}
}

// TestWordPressTrims: outer blanks of a password do not count there.
func TestWordPressTrims(t *testing.T) {
	h := mustParse(t, "$wp$2y$08$zZKyjIQAQSMeoT4YJNcdt.28PULAPlkPOa2g85PyDyklfYjG9fK.m")
	for password, want := range map[string]bool{"correct horse battery": true, " correct horse battery\n": true, "correct horse  battery": false} {
		if h.Matches(password) != want {
			t.Errorf("%q matches: %v, want %v", password, !want, want)
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// dearest are the hashes that take the longest of each kind, by name, with the
// first that is dearer.
var dearest = []struct{ name, hash, dearer string }{
	{"argon2id", "$argon2id$v=19$m=262144,t=4,p=1" + tail32, "$argon2id$v=19$m=262144,t=5,p=1" + tail32},
	{"argon2id of 64 MiB", "$argon2id$v=19$m=65536,t=16,p=1" + tail32, "$argon2id$v=19$m=65536,t=17,p=1" + tail32},
	{"argon2id of 19 MiB", "$argon2id$v=19$m=19456,t=53,p=1" + tail32, "$argon2id$v=19$m=19456,t=54,p=1" + tail32},
	{"argon2i of 16 lanes", "$argon2i$v=19$m=16384,t=64,p=16" + tail32, "$argon2i$v=19$m=16384,t=65,p=16" + tail32},
	{"bcrypt", "$2b$14$" + bcryptTail, "$2b$15$" + bcryptTail},
	{"bcrypt of Django", "bcrypt_sha256$$2b$14$" + bcryptTail, "bcrypt_sha256$$2b$15$" + bcryptTail},
	{"bcrypt of WordPress", "$wp$2y$14$" + bcryptTail, "$wp$2y$15$" + bcryptTail},
	{"phpass", "$P$H12345678" + strings.Repeat(".", 22), "$P$I12345678" + strings.Repeat(".", 22)},
	{"PBKDF2 with SHA-1", "$pbkdf2$6000000" + tail20, "$pbkdf2$6000001" + tail20},
	{"PBKDF2 with SHA-256", "$pbkdf2-sha256$6000000" + tail32, "$pbkdf2-sha256$6000001" + tail32},
	{"PBKDF2 with SHA-512", "$pbkdf2-sha512$2000000" + tail64, "$pbkdf2-sha512$2000001" + tail64},
	{"scrypt", "$scrypt$ln=18,r=8,p=2" + tail32, "$scrypt$ln=18,r=8,p=3" + tail32},
	{"scrypt of N = 2^17", "$scrypt$ln=17,r=8,p=4" + tail32, "$scrypt$ln=17,r=8,p=5" + tail32},
	{"scrypt of a small N", "$scrypt$ln=6,r=8,p=8192" + tail32, "$scrypt$ln=6,r=8,p=8193" + tail32},
	{"Firebase scrypt", "$firebase-scrypt$ln=18,r=8,sep=Bw,key=" + tail32[24:] + tail32, "$firebase-scrypt$ln=19,r=8,sep=Bw,key=" + tail32[24:] + tail32},
	{"SHA-256-crypt", "$5$rounds=1000000$1234567890123456$" + zs[:42] + ".", "$5$rounds=1000001$1234567890123456$" + zs[:42] + "."},
	{"SHA-512-crypt", "$6$rounds=1000000$1234567890123456$" + zs[:85] + ".", "$6$rounds=1000001$1234567890123456$" + zs[:85] + "."},
}

// A salt of 16 bytes and keys of 20, 32 and 64.
var (
	tail20 = "$" + b64(16) + "$" + b64(20)
	tail32 = "$" + b64(16) + "$" + b64(32)
	tail64 = "$" + b64(16) + "$" + b64(64)
	zs     = strings.Repeat("z", 85)
)

// TestWorkIsBounded: no hash takes many seconds of a core. That the bounds are
// where they say is what BenchmarkDearest is for.
func TestWorkIsBounded(t *testing.T) {
	for _, c := range dearest {
		if memory, time := passhash.Work(mustParse(t, c.hash)); memory > 260<<20 || time < 500_000 || time > 1_500_000 {
			t.Errorf("%s: %d bytes and %d µs", c.name, memory, time)
		}
		if h, err := passhash.Parse(c.dearer); err == nil {
			t.Errorf("%s: a dearer one is taken: %s", c.name, h)
		} else if !strings.Contains(err.Error(), "out of range (") {
			t.Errorf("%s: got %q, want the bound", c.name, err)
		}
	}
}

func BenchmarkDearest(b *testing.B) {
	for _, c := range dearest {
		b.Run(c.name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as hash-worker
			h := mustParse(b, c.hash)
			for b.Loop() {
				h.Matches(strings.Repeat("x", 268))
			}
		})
	}
}

// TestSHACryptBoundsThePassword: what every round hashes may not be long where the
// rounds are many. A password of any real length is checked.
func TestSHACryptBoundsThePassword(t *testing.T) {
	const hash = "$6$rounds=1000000$1234567890123456$"
	for n, want := range map[int]bool{268: true, 269: false, 1024: false} {
		if got := passhash.SHACryptTakes(mustParse(t, hash+zs+"."), strings.Repeat("x", n)); got != want {
			t.Errorf("a password of %d bytes is hashed a million times: %v, want %v", n, got, want)
		}
	}
}

// TestCostliestHashesAreTaken: the bounds themselves, with the longest parts.
func TestCostliestHashesAreTaken(t *testing.T) {
	salt, key := b64(16), b64(32)
	for _, good := range []string{
		"$argon2id$v=19$m=262144,t=4,p=16$" + b64(64) + "$" + b64(128),
		"$argon2id$v=19$m=8,t=1,p=1$" + b64(8) + "$" + b64(16),
		"$2b$14$" + bcryptTail,
		"$2a$04$" + bcryptTail,
		"$pbkdf2$6000000$" + salt + "$" + b64(20),
		"$pbkdf2-sha256$6000000$" + salt + "$" + key,
		"$pbkdf2-sha512$i=400000,l=320$" + textSalt + "$" + b64(320),
		"$pbkdf2-sha512$i=125000,l=1024$" + textSalt + "$" + b64(1024),
		"$pbkdf2-sha256$1$" + b64(3<<10) + "$" + b64(1024),
		"$scrypt$ln=18,r=8,p=2$" + salt + "$" + key,
		"$scrypt$ln=1,r=1,p=1$" + b64(1) + "$" + b64(16),
		"$6$rounds=1000000$1234567890123456$" + strings.Repeat("z", 85) + ".",
	} {
		if h := mustParse(t, good); h.String() != good {
			t.Errorf("%.80s is written as %.80s", good, h)
		}
	}
}

func TestCostsBelowOWASPAreKnown(t *testing.T) {
	for cost, want := range map[string]bool{
		"m=19456,t=2,p=1": false, "m=47104,t=1,p=1": false, "m=12288,t=3,p=1": false, "m=9216,t=4,p=1": false,
		"m=7168,t=5,p=1": false, "m=65536,t=3,p=4": false,
		"m=19455,t=2,p=1": true, "m=47103,t=1,p=1": true, "m=7167,t=64,p=1": true, "m=8,t=1,p=1": true,
	} {
		a, err := passhash.ParseArgon2(cost)
		if err != nil || a.BelowOWASP() != want {
			t.Errorf("%s: below OWASP's table: %v (%v), want %v", cost, a.BelowOWASP(), err, want)
		}
	}
}

func TestCostsAreBounded(t *testing.T) {
	for _, good := range []string{"m=8,t=1,p=1", "m=262144,t=4,p=16", "m=65536,t=16,p=1", "m=19456,t=53,p=1", "m=16384,t=64,p=1", "m=128,t=1,p=16"} {
		if a, err := passhash.ParseArgon2(good); err != nil || a.String() != good {
			t.Errorf("%s: got %v, %v", good, a, err)
		}
	}
	for _, bad := range []string{
		"m=4194304,t=1,p=1", "m=262145,t=1,p=1", "m=262144,t=5,p=1", "m=19456,t=54,p=1", "m=7,t=1,p=1", "m=127,t=1,p=16", "m=0,t=1,p=1",
		"m=8,t=0,p=1", "m=8,t=65,p=1", "m=8,t=1,p=0", "m=136,t=1,p=17", "m=2048,t=1,p=256",
		"m=4294967304,t=1,p=1", "m=18446744073709551624,t=1,p=1", "m=-8,t=1,p=1", "m=+8,t=1,p=1", "m=08,t=1,p=1",
		"", "m=8", "m=8,t=1", "t=1,m=8,p=1", "m=8,t=1,p=1,x=1", "m=8,t=1,p=", " m=8,t=1,p=1", "m=8, t=1,p=1", "M=8,t=1,p=1",
	} {
		if a, err := passhash.ParseArgon2(bad); err == nil {
			t.Errorf("%q is taken, as %v", bad, a)
		}
		if err := new(passhash.Argon2).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken as text", bad)
		}
	}
}
