package mailer_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/mailer"
)

func TestSMTPURLs(t *testing.T) {
	for _, c := range []struct {
		url, address string
		tls          mailer.TLS
		user         string
	}{
		{"smtps://mail.example.com", "mail.example.com:465", mailer.TLSImplicit, ""},
		{"smtps://u:p@mail.example.com", "mail.example.com:465", mailer.TLSImplicit, "u"},
		{"smtps://u:p@mail.example.com:2465/", "mail.example.com:2465", mailer.TLSImplicit, "u"},
		{"smtps://u%40example.com:p%2Fq@mail.example.com", "mail.example.com:465", mailer.TLSImplicit, "u@example.com"},
		{"smtps://u@example.com:p@q@mail.example.com", "mail.example.com:465", mailer.TLSImplicit, "u@example.com"},
		{"smtps://mail.example.com:465", "mail.example.com:465", mailer.TLSImplicit, ""},
		{"smtp://mail.example.com:2525", "mail.example.com:2525", mailer.TLSRequired, ""},
		{"smtp://u:p@mail.example.com", "mail.example.com:587", mailer.TLSRequired, "u"},
		{"SMTP://mail.example.com", "mail.example.com:587", mailer.TLSRequired, ""},
		{"smtp://mail.example.com:25?starttls=optional", "mail.example.com:25", mailer.TLSOptional, ""},
		{"smtp://mail.example.com:25?starttls=never", "mail.example.com:25", mailer.TLSNever, ""},
		{"smtp://u:p@mail.example.com?starttls=required", "mail.example.com:587", mailer.TLSRequired, "u"},
		{"smtp://localhost:1025", "localhost:1025", mailer.TLSOptional, ""},
		{"smtp://u:p@localhost:1025", "localhost:1025", mailer.TLSOptional, "u"},
		{"smtp://u:p@127.0.0.1?starttls=never", "127.0.0.1:587", mailer.TLSNever, "u"},
		{"smtp://[::1]:25", "[::1]:25", mailer.TLSOptional, ""},
		{"smtp://192.0.2.1:25", "192.0.2.1:25", mailer.TLSRequired, ""},
		{"smtp://mail:25", "mail:25", mailer.TLSRequired, ""},
		{"smtp://localhost:25?starttls=required", "localhost:25", mailer.TLSRequired, ""},
	} {
		got, err := mailer.ParseSMTPURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if got.String() != c.address || got.TLS != c.tls || got.User != c.user {
			t.Errorf("%s is %s, TLS %s, user %q; want %s, %s, %q", c.url, got, got.TLS, got.User, c.address, c.tls, c.user)
		}
	}
}

func TestSMTPURLsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"", "must be set"},
		{"mail.example.com:25", "SMTP URL"},
		{"http://mail.example.com", "must begin with smtps://"},
		{"smtp:mail.example.com", "names no host"},
		{"smtp://", "names no host"},
		{"smtp://u:hunter2@", "names no host"},
		{"smtp://exa mple.com", "blanks"},
		{" smtp://u:hunter2@mail.example.com", "blanks"},
		{"smtp://u:hunter2@mail.example.com\n", "blanks, line ends"},
		{"smtp://u:hunter2@mail.example.com\u00a0", "blanks"},
		{"smtp://u:hunter2 x@mail.example.com", "a blank of the password as %20"},
		{`"smtp://u:hunter2@mail.example.com"`, "quotes"},
		{"'smtp://u:hunter2@mail.example.com'", "quotes"},
		{"smtp://u:hunter2@mail.example.com:465", "smtp:// with port 465, where TLS begins at once: write smtps://"},
		{"smtp://localhost:465", "write smtps://"},
		{"smtp://mail.example.com:465?starttls=never", "write smtps://"},
		{"smtps://u:hunter2@mail.example.com:587", "smtps:// with port 587 or 25, where TLS begins by STARTTLS: write smtp://"},
		{"smtps://mail.example.com:25", "write smtp://"},
		{"smtp://-example.com", "names no host"},
		{"smtp://[fe80::1%25eth0]", "names no host"},
		{"smtp://mail.example.com:", "empty port"},
		{"smtp://mail.example.com:0", "1 to 65535"},
		{"smtp://mail.example.com:65536", "1 to 65535"},
		{"smtp://mail.example.com/path", "must end after host and port"},
		{"smtp://mail.example.com#part", "must end after host and port"},
		{"smtp://u@mail.example.com", "both user and password"},
		{"smtp://u:@mail.example.com", "both user and password"},
		{"smtp://:hunter2@mail.example.com", "both user and password"},
		{"smtp://u:hunter2%0d%0aQUIT@mail.example.com", "line breaks"},
		{"smtp://u:hunter2%00@mail.example.com", "line breaks or NUL"},
		{"smtp://u:hunter2%zz@mail.example.com", "% is %25"},
		{"smtp://u:hunter2/x@mail.example.com", "/ is %2F"},
		{"smtp://u:hunter2#x@mail.example.com", "# is %23"},
		{"smtp://u:hunter2?x@mail.example.com", "? is %3F"},
		{"smtp://u:123/hunter2@mail.example.com", "must end after host and port"},
		{"smtp://u:123?hunter2@mail.example.com", "? is %3F"},
		{"smtp://mail.example.com?", "the only option"},
		{"smtp://mail.example.com?starttls=hunter2", "the only option"},
		{"smtp://mail.example.com?starttls=implicit", "the only option"},
		{"smtp://mail.example.com?starttls=never&starttls=required", "the only option"},
		{"smtp://mail.example.com?verify=no", "the only option"},
		{"smtps://mail.example.com?starttls=required", "the only option"},
		{"smtp://u:hunter2@mail.example.com?starttls=optional", "in clear"},
		{"smtp://u:hunter2@mail.example.com?starttls=never", "in clear"},
		{"smtp://u:hunter2@localhost.example.com?starttls=never", "in clear"},
	} {
		_, err := mailer.ParseSMTPURL(c.url)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.url, err, c.want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", c.url, err)
		}
	}
}

func FuzzParseSMTPURL(f *testing.F) {
	for _, seed := range [][3]string{
		{"smtp://", "hunter2", "mail.example.com:587"}, {"smtps://", "a/b#c?d", "[::1]?starttls=never"},
		{"smtp://", "%zz", "localhost:99999"}, {"http://", "1", ":"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, scheme, secret, rest string) {
		if got, err := mailer.ParseSMTPURL(scheme + rest); err == nil && (got.Host == "" || got.Port < 1 || got.Port > 65535 || got.TLS == "") {
			t.Errorf("%q is %+v", scheme+rest, got)
		}
		secret = "hunter2" + secret + "xyzzy" // words that no error has
		for _, spelled := range []string{secret, url.QueryEscape(secret)} {
			text := scheme + "user:" + spelled + "@" + rest
			got, err := mailer.ParseSMTPURL(text)
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "xyzzy")) {
				t.Errorf("%q: the error shows the password: %v", text, err)
			}
			if err == nil && got.User != "" && got.TLS != mailer.TLSImplicit && got.TLS != mailer.TLSRequired &&
				!strings.Contains(strings.ToLower(got.Host), "localhost") && !strings.HasPrefix(got.Host, "127.") && !strings.Contains(got.Host, ":") {
				t.Errorf("%q sends credentials to %s by TLS %s", text, got, got.TLS)
			}
		}
	})
}
