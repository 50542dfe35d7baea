package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

// maxBody is the longest request body in bytes.
const maxBody = 64 << 10

// members names what a request body holds and where each goes. All are strings,
// and all are required but those that decode is told.
type members map[string]*string

// longest is how many bytes each member may have. It is checked before anything
// is done with the value. A member that is not here takes no value at all.
var longest = map[string]int{
	"username":         identifier.MaxLogin,
	"email":            identifier.MaxEmail,
	"name":             identifier.MaxName,
	"code":             ticket.MaxCode,
	"password":         password.MaxLength,
	"current_password": password.MaxLength,
	"new_password":     password.MaxLength,
	"scope":            64,
	// A token of another system is answered like any wrong one.
	"token":         8 << 10,
	"refresh_token": 8 << 10,
}

// checkLength refuses a value that is longer than its member may be.
func checkLength(name, value string) error {
	if len(value) > longest[name] {
		return &auth.InvalidError{Field: name, Reason: fmt.Sprintf("must have at most %d bytes", longest[name])}
	}
	return nil
}

// A requestError is a fault of the request's form.
type requestError struct {
	status int
	code   string
	detail string
	fields []fieldError
}

func (e *requestError) Error() string { return e.code + ": " + e.detail }

// decode reads the body: one JSON object with exactly the given members, of
// which the optional ones may be missing; if all may, so may the body.
func decode(w http.ResponseWriter, r *http.Request, m members, optional ...string) error {
	if err := checkContentType(r); err != nil {
		return err
	}
	body, err := readBody(w, r)
	switch {
	case err != nil:
		return err
	case len(strings.TrimSpace(string(body))) == 0 && len(optional) == len(m):
		return nil
	case len(strings.TrimSpace(string(body))) == 0:
		return badRequest("invalid_body", "The body must be a JSON object, and is empty.")
	}
	return decodeMembers(string(body), m, optional)
}

// readBody refuses a body that says that it is too long before it reads any of it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		// Over HTTP/1.1 net/http would read on before it answers. Over HTTP/2 the header
		// would end a connection that other requests share. A function has no connection.
		if r.ProtoMajor == 1 && r.Context().Value(http.ServerContextKey) != nil {
			w.Header().Set("Connection", "close")
		}
		return nil, errTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, badRequest("invalid_body", "The body could not be read to its end.")
	}
	return body, nil
}

var errTooLarge = &requestError{status: http.StatusRequestEntityTooLarge, code: "body_too_large",
	detail: fmt.Sprintf("The body must have at most %d bytes.", maxBody)}

// checkContentType takes an absent type for JSON, but not of a browser, which
// names its origin. Whatever a browser could send across origins without asking
// (no type, text/plain, forms) is refused.
func checkContentType(r *http.Request) error {
	if strings.Join(r.Header.Values("Content-Encoding"), "") != "" {
		return &requestError{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			detail: "Send the body without a content encoding."}
	}
	values := r.Header.Values("Content-Type")
	if len(values) == 0 && r.Header.Get("Origin") == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || len(values) > 1 || media != "application/json" || charset != "" && charset != "utf-8" {
		return &requestError{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			detail: "Send the body as application/json in UTF-8."}
	}
	return nil
}

// inPlaceOf names the member that may stand in a request in place of another. Not
// both: the domain says so.
var inPlaceOf = map[string]string{"username": "email"}

func decodeMembers(body string, m members, optional []string) error {
	var faults []fieldError
	seen := make(map[string]bool)
	err := strictjson.Object(body, func(name string, v strictjson.Value) error {
		to, known := m[name]
		text, isString := v.Text()
		switch {
		case !known:
			faults = append(faults, fieldError{Field: name, Message: "is not a member of this request"})
		case !isString:
			faults = append(faults, fieldError{Field: name, Message: "must be a string"})
		case text == "":
			faults = append(faults, fieldError{Field: name, Message: "must not be empty"})
		default:
			var long *auth.InvalidError
			if errors.As(checkLength(name, text), &long) {
				faults = append(faults, fieldError{Field: name, Message: long.Reason})
			}
			*to = text
		}
		seen[name] = true
		return nil
	})
	if err != nil {
		return badRequest("invalid_json", "The body must be one JSON object: "+err.Error()+".")
	}
	for name := range m {
		if !seen[name] && !seen[inPlaceOf[name]] && !slices.Contains(optional, name) {
			faults = append(faults, fieldError{Field: name, Message: "is missing"})
		}
	}
	if len(faults) > 0 {
		return invalidRequest(faults)
	}
	return nil
}

func badRequest(code, detail string) error {
	return &requestError{status: http.StatusBadRequest, code: code, detail: detail}
}

// maxFaults is how many faults an answer names: it must not be many times the
// size of its request.
const maxFaults = 16

func invalidRequest(faults []fieldError) error {
	sortFields(faults)
	faults = faults[:min(len(faults), maxFaults)]
	return &requestError{status: http.StatusBadRequest, code: "invalid_request",
		detail: "The request breaks a rule: " + faults[0].Field + " " + faults[0].Message + ".", fields: faults}
}
