package latchkey_test

import (
	"strings"

	"github.com/latchkey-auth/latchkey"
)

func hostileHeaders() []hostile {
	const head, key = latchkey.CheckHeader, latchkey.CheckKey
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	return []hostile{
		{"crit with an unknown extension", withHeader("crit", `["exp"]`, "exp", "1"), head},
		{"crit empty", withHeader("crit", "[]"), head},
		{"crit a string", withHeader("crit", `"b64"`), head},
		{"crit null", withHeader("crit", "null"), head},
		{"crit names alg", withHeader("crit", `["alg"]`), head},
		{"crit in wrong case", withHeader("CRIT", `["x"]`), head},
		{"b64 false", withHeader("b64", "false", "crit", `["b64"]`), head},
		{"b64 false without crit", withHeader("b64", "false"), head},
		{"b64 true", withHeader("b64", "true"), head},
		{"zip DEF", withHeader("zip", `"DEF"`), head},
		{"enc in three parts", withHeader("enc", `"A256GCM"`), head},
		{"epk off the curve", withHeader("epk", `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`), head},
		{"p2c bomb", withHeader("alg", `"PBES2-HS256+A128KW"`, "p2s", `"c2FsdA"`, "p2c", "2147483648"), head},
		{"p2c bomb on a good alg", withHeader("p2c", "2147483648"), head},

		{"kid unknown", withHeader("kid", `"other"`), key},
		{"kid in another case", withHeader("kid", `"EC"`), key},
		{"kid with a space behind", withHeader("kid", `"ec "`), key},
		{"kid with a NUL", withHeader("kid", `"ec\u0000"`), key},
		{"kid a path", withHeader("kid", `"../../../../dev/null"`), key},
		{"kid an absolute path", withHeader("kid", `"/proc/self/environ"`), key},
		{"kid a path to a good one", withHeader("kid", `"./ec"`), key},
		{"kid an SQL injection", withHeader("kid", `"ec' OR '1'='1"`), key},
		{"kid an SQL union", withHeader("kid", `"x' UNION SELECT 'secret"`), key},
		{"kid an LDAP filter", withHeader("kid", `"*)(uid=*"`), key},
		{"kid a command", withHeader("kid", `"ec|sleep 10"`), key},
		{"kid a wildcard", withHeader("kid", `"*"`), key},
		{"kid of 5000 bytes", withHeader("kid", `"`+strings.Repeat("k", 5000)+`"`), key},
		{"kid with combining letters", withHeader("kid", `"e\u0301c"`), key},
		{"kid a number", withHeader("kid", "1"), head},
		{"kid null", withHeader("kid", "null"), head},
		{"kid false", withHeader("kid", "false"), head},
		{"kid an array", withHeader("kid", `["ec"]`), head},
		{"kid an object", withHeader("kid", `{"id":"ec"}`), head},
		{"kid stands twice", withHeaderText(`{"alg":"ES256","kid":"other","kid":"ec","typ":"at+jwt"}`), head},
		{"Kid in wrong case", withHeader("kid", "", "Kid", `"ec"`), head},
		{"kid with the Kelvin sign", withHeader("kid", "", "\u212Aid", `"ec"`), head},

		{"header an array", withHeaderText(`[` + header() + `]`), head},
		{"header a string", withHeaderText(`"ES256"`), head},
		{"header a number", withHeaderText(`256`), head},
		{"header null", withHeaderText(`null`), head},
		{"header only spaces", withHeaderText("   "), head},
		{"header without members", withHeaderText(`{}`), latchkey.CheckAlgorithm},
		{"header of two objects", withHeaderText(header() + `{}`), head},
		{"header with text behind", withHeaderText(header() + "x"), head},
		{"header with a NUL behind", withHeaderText(header() + "\x00"), head},
		{"header without end", withHeaderText(strings.TrimSuffix(header(), "}")), head},
		{"header with a trailing comma", withHeaderText(strings.TrimSuffix(header(), "}") + ",}"), head},
		{"header in single quotes", withHeaderText(strings.ReplaceAll(header(), `"`, `'`)), head},
		{"header with a comment", withHeaderText(`/**/` + header()), head},
		{"header behind a byte order mark", withHeaderText("\uFEFF" + header()), head},
		{"header in UTF-16", withHeaderText("{\x00\"\x00a\x00\"\x00:\x001\x00}\x00"), head},
		{"header with broken UTF-8", withHeader("x", "\"\xFF\""), head},
		{"header with UTF-8 of too many bytes", withHeader("x", "\"\xC0\xAF\""), head},
		{"header with a surrogate in UTF-8", withHeader("x", "\"\xED\xA0\x80\""), head},
		{"header with an unpaired surrogate", withHeader("kid", `"\uD800"`), head},
		{"header with a control character in a string", withHeader("kid", "\"e\nc\""), head},
		{"header with an unknown escape", withHeader("kid", `"\x65c"`), head},
		{"header nested 33 deep", withHeader("x", nested(32)), head},
		{"header nested 2000 deep", withHeader("x", nested(2000)), head},
		{"header with a duplicate inside an unknown member", withHeader("x", `{"y":1,"y":2}`), head},
		{"header with NaN", withHeader("x", "NaN"), head},
	}
}
