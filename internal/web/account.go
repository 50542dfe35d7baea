package web

import (
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// logout takes a bearer token with a scope, or a refresh token alone.
func (h *handler) logout(w http.ResponseWriter, r *http.Request) error {
	var scope, token string
	if err := decode(w, r, members{"scope": &scope, "refresh_token": &token}, "scope", "refresh_token"); err != nil {
		return err
	}
	if token != "" {
		if scope != "" {
			return invalidRequest([]fieldError{{"scope", "goes with a bearer token, not with a refresh token"}})
		}
		return answerEmpty(w, h.Service.LogoutByRefreshToken(r.Context(), token, client(r)))
	}
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	if scope == "" {
		scope = string(auth.LogoutThis)
	}
	return answerEmpty(w, h.Service.Logout(r.Context(), claims, auth.LogoutScope(scope), client(r)))
}

// answerEmpty answers 204 unless there is an error.
func answerEmpty(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) changePassword(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	var current, password string
	if err := decode(w, r, members{"current_password": &current, "new_password": &password}); err != nil {
		return err
	}
	return answerEmpty(w, h.Service.ChangePassword(r.Context(), claims, current, password, client(r)))
}

func (h *handler) patchMe(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	var name string
	if err := decode(w, r, members{"name": &name}); err != nil {
		return err
	}
	id, err := h.Service.Rename(r.Context(), claims, name, client(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, meAnswer(id))
}

func (h *handler) deleteMe(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	var password string
	if err := decode(w, r, members{"password": &password}); err != nil {
		return err
	}
	return answerEmpty(w, h.Service.DeleteAccount(r.Context(), claims, password, client(r)))
}

type sessionAnswer struct {
	ID         storage.SessionID `json:"id"`
	Device     string            `json:"device"`
	Address    string            `json:"address"`
	CreatedAt  time.Time         `json:"created_at"`
	LastUsedAt time.Time         `json:"last_used_at"`
	Current    bool              `json:"current"`
}

func (h *handler) sessions(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	all, own, err := h.Service.Sessions(r.Context(), claims)
	if err != nil {
		return err
	}
	answer := struct {
		Sessions []sessionAnswer `json:"sessions"`
	}{make([]sessionAnswer, len(all))}
	for i, s := range all {
		answer.Sessions[i] = sessionAnswer{s.ID, s.Device, s.Address, s.CreatedAt.UTC(), s.LastUsedAt.UTC(), s.ID == own}
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (h *handler) endSession(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	return answerEmpty(w, h.Service.EndSession(r.Context(), claims, storage.SessionID(r.PathValue("id")), client(r)))
}
