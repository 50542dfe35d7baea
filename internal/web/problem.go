package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A problem is an error answer (RFC 9457). Code is stable: programs may build
// on it; the other texts are for people.
type problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Code      string       `json:"code"`
	Detail    string       `json:"detail"`
	RequestID string       `json:"request_id,omitempty"`
	Errors    []fieldError `json:"errors,omitempty"`

	retryAfter time.Duration
}

type fieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func sortFields(faults []fieldError) {
	slices.SortStableFunc(faults, func(a, b fieldError) int { return strings.Compare(a.Field, b.Field) })
}

// errUnauthorized: no bearer token, or not exactly one.
var errUnauthorized = errors.New("no usable bearer token")

// errRefreshToken: no token of a living session.
var errRefreshToken = errors.New("refresh token is not valid")

// retryUnavailable is how soon a client may try again after an outage.
const retryUnavailable = 5 * time.Second

// problemOf is the one place that turns errors into answers.
func problemOf(err error) problem {
	var request *requestError
	var invalid *auth.InvalidError
	var limit *auth.LimitError
	switch {
	case errors.As(err, &request):
		return problem{Status: request.status, Code: request.code, Detail: request.detail, Errors: request.fields}
	case errors.As(err, &invalid):
		return problem{Status: http.StatusBadRequest, Code: "invalid_request",
			Detail: "The request breaks a rule: " + invalid.Error() + ".",
			Errors: []fieldError{{invalid.Field, invalid.Reason}}}
	case errors.As(err, &limit):
		return problem{Status: http.StatusTooManyRequests, Code: "too_many_failures", Detail: "Too many attempts. Wait before the next one.",
			retryAfter: max(time.Second, limit.RetryAfter+time.Second-1)}
	case errors.Is(err, auth.ErrInvalidCredentials):
		return problem{Status: http.StatusUnauthorized, Code: "invalid_credentials", Detail: "The username or the password is wrong."}
	case errors.Is(err, errUnauthorized), errors.Is(err, latchkey.ErrInvalidToken), errors.Is(err, auth.ErrInvalidToken):
		return problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "This needs a valid bearer token in one Authorization header."}
	case errors.Is(err, errRefreshToken):
		return problem{Status: http.StatusUnauthorized, Code: "invalid_refresh_token", Detail: "The refresh token is not valid any more. Log in again."}
	case errors.Is(err, auth.ErrInvalidTicket):
		return problem{Status: http.StatusBadRequest, Code: "invalid_ticket", Detail: "The link or code is wrong, has been used or replaced, or has expired. Ask for a new one."}
	case errors.Is(err, auth.ErrEmailNotVerified):
		return problem{Status: http.StatusForbidden, Code: "email_not_verified", Detail: "The e-mail address is yet to be confirmed. Open the link in the mail, or ask for another one."}
	case errors.Is(err, auth.ErrRegistrationClosed):
		return problem{Status: http.StatusForbidden, Code: "registration_closed", Detail: "This service does not let strangers register. Ask its operator for an account."}
	case errors.Is(err, auth.ErrNoMail):
		return problem{Status: http.StatusForbidden, Code: "mail_off", Detail: "This service sends no mail, and so cannot do this. Ask its operator."}
	case errors.Is(err, storage.ErrTaken):
		return problem{Status: http.StatusConflict, Code: "email_taken", Detail: "The e-mail address has an account. Log in, or ask for a new password."}
	case errors.Is(err, storage.ErrNotFound):
		return problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing at this path."}
	case errors.Is(err, auth.ErrBusy):
		return problem{Status: http.StatusServiceUnavailable, Code: "busy", Detail: "Too many passwords are being checked at this moment. Try again in a few seconds.", retryAfter: password.RetryAfterBusy}
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "The service cannot reach its data at this moment. Try again in a few seconds.", retryAfter: retryUnavailable}
	}
	return problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong on our side. The request id helps to find out what."}
}

// report logs the cause of a problem that is ours, sets what headers it needs,
// and returns it.
func (h *handler) report(w http.ResponseWriter, r *http.Request, err error) problem {
	p := problemOf(err)
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	// The bodies of 401 are the same to the letter, for every cause; the id
	// is in the X-Request-Id header.
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750 section 3
	} else {
		p.RequestID = requestID(r.Context())
	}
	if p.Status >= 500 {
		level := slog.LevelError
		if errors.Is(err, auth.ErrBusy) || errors.Is(err, context.Canceled) {
			level = slog.LevelInfo // the server did what it should
		}
		h.Log.LogAttrs(r.Context(), level, "request failed",
			slog.String("request_id", requestID(r.Context())), slog.String("code", p.Code), slog.String("error", err.Error()))
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.retryAfter.Seconds())))
	}
	w.Header().Set("Cache-Control", "no-store")
	return p
}

// fail answers with the problem.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := h.report(w, r, err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	doc, err := json.Marshal(p)
	if err == nil {
		_, err = w.Write(append(doc, '\n'))
	}
	if err != nil {
		h.unwritten(r, err)
	}
}

// unwritten is for us alone: the client hung up or was too slow. The line of the
// request has the status that was meant.
func (h *handler) unwritten(r *http.Request, err error) {
	level := slog.LevelDebug
	if errors.Is(err, http.ErrContentLength) || errors.Is(err, http.ErrBodyNotAllowed) { // then it is for us to repair
		level = slog.LevelError
	}
	h.Log.Log(r.Context(), level, "writing answer", "request_id", requestID(r.Context()), "error", err)
}

// noRoute answers paths that lead nowhere (404) and methods that a path does
// not have (405, RFC 9110 section 15.5.6).
func noRoute(mux *http.ServeMux) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); strings.Contains(pattern, " ") {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			return &requestError{status: http.StatusNotFound, code: "not_found", detail: "There is nothing at this path."}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &requestError{status: http.StatusMethodNotAllowed, code: "method_not_allowed",
			detail: fmt.Sprintf("This path takes %s.", strings.Join(allowed, ", "))}
	}
}
