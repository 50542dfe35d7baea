package mailer

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// maxName bounds a name that is shown, in characters.
const maxName = 64

// nameOfWords matches words of letters, joined as names are: by a space, a hyphen, an apostrophe, a
// middle dot, or a full stop that ends a word. A mail program makes a link or a
// number to dial of none of them.
var nameOfWords = lazily(`^[\p{L}\p{M}]+\.?([ '’‐·・-][\p{L}\p{M}]+\.?)*$`)

// shownName is the name where it is nothing but words, else nothing: the client
// that registers an address chooses the name, and the address may be another
// person's. To take out the digits alone would leave "Account locked, call".
func shownName(name string) string {
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == ' ' }), " ")
	if utf8.RuneCountInString(name) > maxName || !nameOfWords.MatchString(name) {
		return ""
	}
	return name
}

// A sign is what a User-Agent contains, and what it is shown as.
type sign struct{ text, shown string }

var (
	// browsers, those first that name others as well.
	browsers = []sign{
		{"EdgiOS/", "Edge"}, {"EdgA/", "Edge"}, {"Edg/", "Edge"}, {"Edge/", "Edge"}, {"OPR/", "Opera"}, {"OPT/", "Opera"},
		{"Vivaldi/", "Vivaldi"}, {"YaBrowser/", "Yandex Browser"}, {"SamsungBrowser/", "Samsung Internet"}, {"DuckDuckGo/", "DuckDuckGo"},
		{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	// systems, those first that name others as well.
	systems = []sign{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
		{"Mac OS X", "macOS"}, {"Macintosh", "macOS"}, {"FreeBSD", "FreeBSD"}, {"OpenBSD", "OpenBSD"}, {"Linux", "Linux"},
	}
	// tools begin with their name.
	tools = []sign{
		{"curl/", "curl"}, {"Wget/", "Wget"}, {"HTTPie/", "HTTPie"}, {"PostmanRuntime/", "Postman"}, {"insomnia/", "Insomnia"},
		{"python-requests/", "a Python program"}, {"python-httpx/", "a Python program"}, {"Python/", "a Python program"}, {"Python-urllib/", "a Python program"},
		{"Go-http-client/", "a Go program"}, {"Java/", "a Java program"}, {"Java-http-client/", "a Java program"}, {"okhttp/", "an app"}, {"Dart/", "an app"},
		{"node", "a Node.js program"}, {"axios/", "a Node.js program"}, {"undici", "a Node.js program"},
	}
)

const unknownDevice = "an unknown device"

// shownDevice is the browser and the system that a User-Agent names, in words of
// ours: no text of the client gets into a mail. Nothing where there is none.
func shownDevice(userAgent string) string {
	if userAgent == "" {
		return ""
	}
	browser, system := find(browsers, userAgent, strings.Contains), find(systems, userAgent, strings.Contains)
	tool := find(tools, userAgent, strings.HasPrefix)
	switch {
	case tool != "":
		return tool
	case browser != "" && system != "":
		return browser + " on " + system
	case system != "":
		return "an unknown program on " + system
	case browser != "":
		return browser
	}
	return unknownDevice
}

func find(signs []sign, text string, matches func(text, sign string) bool) string {
	for _, s := range signs {
		if matches(text, s.text) {
			return s.shown
		}
	}
	return ""
}

// shownAddress is an IP address; anything else is not shown.
func shownAddress(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	return ip.WithZone("").String()
}
