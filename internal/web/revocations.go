package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// authorizerKey lets those pass who have the key of the revocations. Without a key
// there is no such path.
func (h *handler) authorizerKey(r *http.Request) error {
	if h.RevocationKey == "" {
		return storage.ErrNotFound
	}
	key, err := httpauth.BearerToken(r)
	if err != nil {
		return errUnauthorized
	}
	got, want := sha256.Sum256([]byte(key)), sha256.Sum256([]byte(h.RevocationKey))
	if subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
		return errUnauthorized
	}
	return nil
}

// revocations lists what has ended, for authorizers.
func (h *handler) revocations(w http.ResponseWriter, r *http.Request) error {
	if err := h.authorizerKey(r); err != nil {
		return err
	}
	var after string
	if err := query(r, map[string]func(string) bool{"after": into(&after)}); err != nil {
		return err
	}
	page, err := h.Service.Revocations(r.Context(), after)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, page)
}

type lookupAnswer struct {
	Ended bool `json:"ended"`
}

// lookUpToken says whether one token has ended. The caller has verified it.
func (h *handler) lookUpToken(w http.ResponseWriter, r *http.Request) error {
	if err := h.authorizerKey(r); err != nil {
		return err
	}
	c := latchkey.Claims{Epoch: -1, Rights: -1}
	err := query(r, map[string]func(string) bool{
		"sub": into(&c.Subject), "sid": into(&c.SessionID), "iat": seconds(&c.IssuedAt), "exp": seconds(&c.ExpiresAt),
		"epoch": count(&c.Epoch), "rights": count(&c.Rights),
	}, "sub", "exp")
	if err != nil {
		return err
	}
	ended, err := h.Service.Ended(r.Context(), c)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, lookupAnswer{ended})
}

// maxParameter is how many bytes a parameter may have.
const maxParameter = 256

// query reads the parameters of a request: known ones, each once, and all that are
// required.
func query(r *http.Request, known map[string]func(value string) bool, required ...string) error {
	// URL.Query would leave out what it cannot read: a sid, and the session would count as
	// living.
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return invalidRequest([]fieldError{{Field: "query", Message: "cannot be read: percent-encode what is special in it"}})
	}
	var faults []fieldError
	for name, values := range given {
		read := known[name]
		switch {
		case read == nil:
			faults = append(faults, fieldError{Field: name, Message: "is not a parameter of this request"})
		case len(values) != 1:
			faults = append(faults, fieldError{Field: name, Message: "must be there once"})
		case len(values[0]) > maxParameter:
			faults = append(faults, fieldError{Field: name, Message: fmt.Sprintf("must have at most %d bytes", maxParameter)})
		case !read(values[0]):
			faults = append(faults, fieldError{Field: name, Message: "has no value that it can have"})
		}
	}
	for _, name := range required {
		if !given.Has(name) {
			faults = append(faults, fieldError{Field: name, Message: "is missing"})
		}
	}
	if len(faults) > 0 {
		return invalidRequest(faults)
	}
	return nil
}

func into(text *string) func(string) bool {
	return func(value string) bool {
		*text = value
		return value != ""
	}
}

func count(to *int64) func(string) bool {
	return func(value string) bool {
		n, err := strconv.ParseInt(value, 10, 64)
		*to = n
		return err == nil && n >= 0
	}
}

func seconds(to *time.Time) func(string) bool {
	return func(value string) bool {
		var n int64
		ok := count(&n)(value)
		*to = time.Unix(n, 0)
		return ok
	}
}
