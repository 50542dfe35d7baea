package identifier

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// EmailKey is the form under which an e-mail address is unique and looked up:
// that of CleanEmail, in lower case.
func EmailKey(email string) (string, error) {
	clean, err := CleanEmail(email)
	return strings.ToLower(clean), err // ASCII by now
}

// CleanEmail returns the address as it is stored and as mail is sent to it: the
// local part as it was written, the domain in lower case and in ASCII (IDNA).
// Local parts are ASCII only, and domains hold nothing that normalization would
// change or that mixes scripts, so that no look-alike of another user's address can
// be registered. Outer blanks are dropped.
//
// The length is checked before anything else: IDNA takes a time that grows with
// the square of what it is given.
func CleanEmail(email string) (string, error) {
	if len(email) > MaxEmail {
		return "", fmt.Errorf("must have at most %d bytes", MaxEmail)
	}
	local, domain, ok := strings.Cut(Trim(email), "@")
	if ok && utf8.ValidString(domain) {
		domain, ok = asciiDomain(domain)
	}
	if !ok || len(local)+1+len(domain) > MaxEmail || !localPart(local) || !domainName(domain) {
		return "", errors.New("must be one plain address like name@example.com")
	}
	return local + "@" + domain, nil
}

// toASCII validates labels as registries do (RFC 5891 section 4), and lengths.
var toASCII = idna.New(idna.ValidateForRegistration(), idna.StrictDomainName(true))

func asciiDomain(domain string) (string, bool) {
	lower := strings.Map(lowerCase, domain)
	if isASCII(lower) {
		// Punycode that is written out must be what we would write.
		unicoded, err := toASCII.ToUnicode(lower)
		if err != nil || isASCII(unicoded) {
			return lower, err == nil
		}
		lower = unicoded
	}
	if norm.NFKC.String(lower) != lower || foldsElsewhere(lower) {
		return "", false
	}
	for label := range strings.SplitSeq(lower, ".") {
		if mixesScripts(label) {
			return "", false
		}
	}
	ascii, err := toASCII.ToASCII(lower)
	return ascii, err == nil
}

// foldsElsewhere reports whether a letter changes when its case does and comes back
// as another one, like the dotless i. A sigma at the end of a word only has a form of
// its own.
func foldsElsewhere(s string) bool {
	s = strings.ReplaceAll(s, "ς", "σ")
	return strings.ToLower(s) != s || strings.ToLower(strings.ToUpper(s)) != s
}

// lowerCase maps capitals to lower case, but leaves those alone that are beyond
// ASCII and would become a letter of it: the Kelvin sign, the dotted I.
func lowerCase(r rune) rune {
	if lower := unicode.ToLower(r); r <= unicode.MaxASCII || lower > unicode.MaxASCII {
		return lower
	}
	return r
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// eastAsian scripts are written together, and with Latin (UTS 39, highly
// restrictive).
var eastAsian = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo}

// mixesScripts reports whether a label has letters of scripts that are not
// written together: the usual form of a look-alike.
func mixesScripts(label string) bool {
	seen := make(map[string]bool)
	for _, r := range label {
		if !unicode.IsLetter(r) {
			continue
		}
		if unicode.In(r, eastAsian...) {
			seen["east asian"] = true
			continue
		}
		for name, table := range unicode.Scripts {
			if unicode.Is(table, r) && name != "Common" && name != "Inherited" {
				seen[name] = true
			}
		}
	}
	return len(seen) > 2 || len(seen) == 2 && !(seen["east asian"] && seen["Latin"])
}

func localPart(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, c := range []byte(s) {
		if !alphanumeric(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", rune(c)) { // RFC 5322 atext
			return false
		}
	}
	return true
}

func domainName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, c := range []byte(l) {
			if !alphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return len(labels) > 1
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
