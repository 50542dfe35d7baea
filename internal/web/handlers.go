package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/httpauth"
	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// tokenAnswer is RFC 6749 section 5.1, with "token" for clients of the system
// this one descends from.
type tokenAnswer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
}

func (h *handler) login(w http.ResponseWriter, r *http.Request) error {
	req := auth.LoginRequest{Client: client(r)}
	if err := decode(w, r, members{"username": &req.Username, "email": &req.Email, "password": &req.Password}, "email"); err != nil {
		return err
	}
	t, err := h.Service.Login(r.Context(), req)
	if err != nil {
		return err
	}
	return writeTokens(w, http.StatusOK, t)
}

func (h *handler) refresh(w http.ResponseWriter, r *http.Request) error {
	var token string
	if err := decode(w, r, members{"refresh_token": &token}); err != nil {
		return err
	}
	t, err := h.Service.Refresh(r.Context(), token, client(r))
	if errors.Is(err, auth.ErrInvalidToken) {
		return errRefreshToken
	}
	if err != nil {
		return err
	}
	return writeTokens(w, http.StatusOK, t)
}

func writeTokens(w http.ResponseWriter, status int, t auth.Tokens) error {
	return writeJSON(w, status, tokenAnswer{
		Token:        t.AccessToken,
		AccessToken:  t.AccessToken,
		TokenType:    "Bearer",
		ExpiresIn:    int64(t.ExpiresIn.Seconds()),
		RefreshToken: t.RefreshToken,
	})
}

// meAnswer shows what the store knows now, not what the token said.
type meAnswer struct {
	ID            storage.UserID    `json:"id"`
	Username      string            `json:"username"`
	Name          string            `json:"name"`
	Email         string            `json:"email,omitempty"`
	EmailVerified bool              `json:"email_verified"`
	PendingEmail  string            `json:"pending_email,omitempty"`
	Scope         string            `json:"scope"`
	SessionID     storage.SessionID `json:"session_id,omitempty"`
}

// claims verifies the request's bearer token.
func (h *handler) claims(r *http.Request) (latchkey.Claims, error) {
	token, err := httpauth.BearerToken(r)
	if err != nil {
		return latchkey.Claims{}, errUnauthorized
	}
	claims, err := h.Verifier.Verify(r.Context(), token)
	if err != nil {
		return latchkey.Claims{}, fmt.Errorf("verifying bearer token: %w", err)
	}
	return claims, nil
}

func (h *handler) me(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	id, err := h.Service.Me(r.Context(), claims)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, meAnswer(id))
}

func (h *handler) jwks(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", h.publicCache())
	w.Header().Set("Content-Type", "application/jwk-set+json") // RFC 7517 section 8.5.2
	_, err := w.Write(h.JWKS(r.Context()))
	return err
}

type status struct {
	Status string `json:"status"`
}

func (h *handler) livez(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, status{"ok"})
}

func (h *handler) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := h.ready.check(r.Context(), h.Service); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, status{"ready"})
}

// writeJSON sends v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}
