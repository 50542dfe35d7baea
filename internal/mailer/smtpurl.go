package mailer

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// TLS says how a connection to the server is secured.
type TLS string

const (
	TLSImplicit TLS = "implicit" // from the first byte (RFC 8314 section 3.3)
	TLSRequired TLS = "required" // by STARTTLS, or nothing is sent
	TLSOptional TLS = "optional" // by STARTTLS where the server offers it; its certificate is not checked
	TLSNever    TLS = "never"
)

// urlName is how hints name the SMTP URL.
const urlName = "LATCHKEY_MAIL_URL"

// SMTPServer is where mail is handed over.
type SMTPServer struct {
	Host     string // name or IP address
	Port     int
	TLS      TLS
	User     string // empty: no login
	password string
}

// String shows host and port alone.
func (s SMTPServer) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// GoString keeps the password out of %#v.
func (s SMTPServer) GoString() string { return s.String() }

var hostName = lazily(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

// percentEncode is what to do about most mistakes.
const percentEncode = "percent-encode what is special in user and password: % is %25, / is %2F, # is %23, ? is %3F, @ is %40"

// ParseSMTPURL reads the address of a mail server:
//
//	smtps://user:password@mail.example.com        TLS from the start, port 465
//	smtp://user:password@mail.example.com         STARTTLS, port 587
//	smtp://localhost:25                           STARTTLS where offered
//	smtp://relay.example.com:25?starttls=optional the same, elsewhere
//
// User and password may be left out, together; what is special in a URL must be
// percent-encoded in them. The one option is starttls, of smtp only: "required"
// (else than on loopback, the default), "optional" (on loopback, the default) or
// "never". Credentials together with the latter two are refused unless the server
// is on loopback: they would travel in clear.
//
// smtp:// with port 465 and smtps:// with 587 or 25 are refused: the server would
// wait for the other way, and the delivery for the server.
//
// No error shows any part of the URL: where a password has characters that must be
// encoded, every part may be one of the password.
func ParseSMTPURL(text string) (SMTPServer, error) {
	var none SMTPServer
	if text == "" {
		return none, errors.New("SMTP URL must be set: smtps://user:password@mail.example.com")
	}
	if strings.ContainsFunc(text, unicode.IsSpace) || strings.ContainsAny(text[:1]+text[len(text)-1:], "\"'`") {
		return none, errors.New("SMTP URL has blanks, line ends or quotes in it or around it; take them away, and write a blank of the password as %20")
	}
	u, err := url.Parse(text)
	if err != nil {
		return none, errors.New("SMTP URL is not a URL; " + percentEncode)
	}
	s := SMTPServer{Host: u.Hostname(), Port: 587, TLS: TLSRequired}
	switch u.Scheme {
	case "smtps":
		s.Port, s.TLS = 465, TLSImplicit
	case "smtp":
		if isLoopback(s.Host) {
			s.TLS = TLSOptional
		}
	default:
		return none, errors.New("SMTP URL must begin with smtps:// (port 465) or smtp:// (STARTTLS, port 587)")
	}
	if net.ParseIP(s.Host) == nil && (!hostName.MatchString(s.Host) || len(s.Host) > 253) {
		return none, errors.New("SMTP URL names no host; " + percentEncode)
	}
	if strings.HasSuffix(u.Host, ":") {
		return none, errors.New("SMTP URL has an empty port")
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return none, errors.New("the port of the SMTP URL must be 1 to 65535")
		}
		s.Port = int(n)
	}
	switch {
	case s.TLS != TLSImplicit && s.Port == 465:
		return none, errors.New("SMTP URL has smtp:// with port 465, where TLS begins at once: write smtps://")
	case s.TLS == TLSImplicit && (s.Port == 587 || s.Port == 25):
		return none, errors.New("SMTP URL has smtps:// with port 587 or 25, where TLS begins by STARTTLS: write smtp://, or leave the port out")
	}
	if u.Opaque != "" || u.Path != "" && u.Path != "/" || u.Fragment != "" || strings.Contains(text, "#") {
		return none, errors.New("SMTP URL must end after host and port; " + percentEncode)
	}
	if u.User != nil {
		s.User = u.User.Username()
		s.password, _ = u.User.Password()
		if s.User == "" || s.password == "" {
			return none, errors.New("SMTP URL must have both user and password, or neither")
		}
		if strings.ContainsAny(s.User+s.password, "\x00\r\n") {
			return none, errors.New("user and password in the SMTP URL must not contain line breaks or NUL")
		}
	}
	if err := s.option(u); err != nil {
		return none, err
	}
	if s.User != "" && (s.TLS == TLSOptional || s.TLS == TLSNever) && !isLoopback(s.Host) {
		return none, errors.New("SMTP URL would send the password in clear; remove starttls from it, or user and password")
	}
	return s, nil
}

// option reads what follows the question mark.
func (s *SMTPServer) option(u *url.URL) error {
	unknown := errors.New("the only option of an SMTP URL is starttls=required, starttls=optional or starttls=never, after smtp://; " + percentEncode)
	if u.RawQuery == "" && !u.ForceQuery {
		return nil
	}
	value, found := strings.CutPrefix(u.RawQuery, "starttls=")
	if !found || s.TLS == TLSImplicit {
		return unknown
	}
	switch TLS(value) {
	case TLSRequired, TLSOptional, TLSNever:
		s.TLS = TLS(value)
		return nil
	}
	return unknown
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return ip != nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
