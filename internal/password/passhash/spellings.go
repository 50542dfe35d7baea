package passhash

import (
	"errors"
	"strings"
)

// spellings are the ways in which a hash may be written. What follows the
// prefix is read in parts between dollar signs; rest shows them in messages.
var spellings = []struct {
	prefix, rest string
	read         func(parts []string) (form, error)
}{
	{"$argon2id$", "v=19$m=N,t=N,p=N$SALT$KEY in base64 without padding", readArgon2("argon2id")},
	{"$argon2i$", "v=19$m=N,t=N,p=N$SALT$KEY in base64 without padding", readArgon2("argon2i")},
	{"$2", "b$COST$ and 53 characters (also $2a$ and $2y$)", readBcrypt(plain)},
	{"bcrypt_sha256$$2", "b$COST$ and 53 characters", readBcrypt(django)},
	{"$wp$2", "y$COST$ and 53 characters", readBcrypt(wordPress)},
	{"$P$", "and 31 characters (also $H$)", readPhpass},
	{"$H$", "and 31 characters", readPhpass},
	{"$scrypt$", "ln=N,r=N,p=N$SALT$KEY in base64", readScrypt},            // PHC, passlib
	{"$s0$", "PARAMS$SALT$KEY in base64 with PARAMS in hex", readScryptS0}, // Lambdaworks, Spring Security
	{"scrypt$", "N$SALT$R$P$KEY with a KEY in base64", readDjangoScrypt},
	{"scrypt:", "N:R:P$SALT$KEY with a KEY in hex", readWerkzeugScrypt},
	{"$pbkdf2$", "ROUNDS$SALT$KEY in base64 (or i=N,l=N for ROUNDS)", readPBKDF2("sha1")}, // passlib, PHC
	{"$pbkdf2-sha1$", "ROUNDS$SALT$KEY in base64 (or i=N,l=N for ROUNDS)", readPBKDF2("sha1")},
	{"$pbkdf2-sha256$", "ROUNDS$SALT$KEY in base64 (or i=N,l=N for ROUNDS)", readPBKDF2("sha256")},
	{"$pbkdf2-sha512$", "ROUNDS$SALT$KEY in base64 (or i=N,l=N for ROUNDS)", readPBKDF2("sha512")},
	{"pbkdf2_sha1$", "ROUNDS$SALT$KEY with a KEY in base64", readDjangoPBKDF2("sha1")},
	{"pbkdf2_sha256$", "ROUNDS$SALT$KEY with a KEY in base64", readDjangoPBKDF2("sha256")},
	{"pbkdf2_sha512$", "ROUNDS$SALT$KEY with a KEY in base64", readDjangoPBKDF2("sha512")},
	{"pbkdf2:sha1:", "ROUNDS$SALT$KEY with a KEY in hex", readWerkzeugPBKDF2("sha1")},
	{"pbkdf2:sha256:", "ROUNDS$SALT$KEY with a KEY in hex", readWerkzeugPBKDF2("sha256")},
	{"pbkdf2:sha512:", "ROUNDS$SALT$KEY with a KEY in hex", readWerkzeugPBKDF2("sha512")},
	{"$firebase-scrypt$", "ln=N,r=N,sep=SEPARATOR,key=SIGNER_KEY$SALT$KEY in base64", readFirebase},
	{"$5$", "SALT$ and 43 characters (or rounds=N$SALT$)", readSHACrypt("5")},
	{"$6$", "SALT$ and 86 characters (or rounds=N$SALT$)", readSHACrypt("6")},
	{"{PBKDF2@SPRINGSECURITY_V5_5}", "and 80 characters of hex", readSpringPBKDF2("sha1", 185_000, 8)},
	{"{PBKDF2@SPRINGSECURITY_V5_8}", "and 96 characters of hex", readSpringPBKDF2("sha256", 310_000, 16)},
	{"{SSHA}", "BASE64 of digest and salt", readSSHA("SSHA")},
	{"{SSHA256}", "BASE64 of digest and salt", readSSHA("SSHA256")},
	{"{SSHA384}", "BASE64 of digest and salt", readSSHA("SSHA384")},
	{"{SSHA512}", "BASE64 of digest and salt", readSSHA("SSHA512")},
}

// wrappers are what Django, LDAP servers, Dovecot and Spring Security write in front of a hash
// that has a spelling of its own.
var wrappers = []struct{ from, to string }{
	{"argon2$argon2", "$argon2"},
	{"bcrypt$$2", "$2"},
	{"{CRYPT}$", "$"},
	{"{SHA256-CRYPT}$", "$"},
	{"{SHA512-CRYPT}$", "$"},
	{"{BLF-CRYPT}$", "$"},
	{"{BCRYPT}$", "$"},
	{"{ARGON2@SPRINGSECURITY_V5_8}$", "$"},
	{"{SCRYPT}$", "$s0$"},
	{"{SCRYPT@SPRINGSECURITY_V5_8}$", "$s0$"},
	{"{LDAP}{", "{"},
	{"{ARGON2}$", "$"},
	{"{ARGON2I}$", "$"},
	{"{ARGON2ID}$", "$"},
	{"{PBKDF2}", "$pbkdf2$"},
	{"{PBKDF2-SHA1}", "$pbkdf2$"},
	{"{PBKDF2-SHA256}", "$pbkdf2-sha256$"},
	{"{PBKDF2-SHA512}", "$pbkdf2-sha512$"},
}

func unwrap(s string) string {
	if end := strings.IndexByte(s, '}'); strings.HasPrefix(s, "{") && end > 0 {
		s = strings.ToUpper(s[:end]) + s[end:] // RFC 2307 section 5.3: {ssha} is {SSHA}
	}
	// Spring's {pbkdf2} has no parts, and that of LDAP servers has three.
	if rest, ok := strings.CutPrefix(s, "{PBKDF2}"); ok && !strings.Contains(rest, "$") {
		return "{PBKDF2@SPRINGSECURITY_V5_5}" + rest
	}
	for _, w := range wrappers {
		if rest, ok := strings.CutPrefix(s, w.from); ok {
			return w.to + rest
		}
	}
	return s
}

// refused are kinds that are known and not taken, with the reason.
var refused = []struct{ prefix, reason string }{
	{"{NOOP}", "it is the password itself, not a hash; have its owner set a new one"},
	{"{CLEARTEXT}", "it is the password itself, not a hash; have its owner set a new one"},
	{"{PLAIN}", "it is the password itself, not a hash; have its owner set a new one"},
	{"{SHA", "it has no salt; have its owner set a new password"},
	{"{MD5}", "it has no salt; have its owner set a new password"},
	{"{SMD5}", "MD5 is too fast to protect a password; have its owner set a new one"},
	{"{MD4}", "it has no salt; have its owner set a new password"},
	{"*", "it has no salt (MySQL's PASSWORD()); have its owner set a new password"},
	{"$1$", "MD5-crypt is too weak; have its owner set a new password"},
	{"$apr1$", "MD5-crypt is too weak; have its owner set a new password"},
	{"$argon2d$", "argon2d is not for passwords; have its owner set a new one"},
	{"md5$", "MD5 is too fast to protect a password; have its owner set a new one"},
	{"sha1$", "one SHA-1 is too fast to protect a password; have its owner set a new one"},
}

var errUnknown = errors.New("known are argon2id, argon2i, bcrypt, scrypt, PBKDF2 (SHA-1, SHA-256, SHA-512), Firebase scrypt, SHA-crypt ($5$, $6$), SSHA, phpass ($P$), ASP.NET Identity and SALT:KEY of better-auth")

// NoPassword reports the marks that stand where a user has no password: nothing,
// "*" and "!" of /etc/shadow, where "!" in front of a hash locks it, and Django's
// "!" with random text.
func NoPassword(s string) bool {
	s = strings.TrimPrefix(unwrap(s), "{CRYPT}")
	switch s {
	case "", "*", "*LK*", "*NP*", "*0", "*1":
		return true
	}
	return s[0] == '!'
}

func refusal(s string) error {
	for _, r := range refused {
		if strings.HasPrefix(s, r.prefix) {
			return errors.New(r.reason)
		}
	}
	return errUnknown
}
