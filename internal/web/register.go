package web

import (
	_ "embed"
	"net/http"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// accepted is the answer to all that may send a mail: whether it does is between
// the service and the owner of the address.
func accepted(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, status{"accepted"})
}

func (h *handler) register(w http.ResponseWriter, r *http.Request) error {
	req := auth.RegisterRequest{Client: client(r)}
	if err := decode(w, r, members{"email": &req.Email, "password": &req.Password, "name": &req.Name}, "name"); err != nil {
		return err
	}
	tokens, err := h.Service.Register(r.Context(), req)
	if err == nil && tokens != nil {
		return writeTokens(w, http.StatusCreated, *tokens)
	}
	return accepted(w, err)
}

func (h *handler) verifyEmail(w http.ResponseWriter, r *http.Request) error {
	req := auth.TicketRequest{Client: client(r)}
	m := members{"token": &req.Token, "email": &req.Email, "code": &req.Code}
	if err := decode(w, r, m, "token", "email", "code"); err != nil {
		return err
	}
	return answerEmpty(w, h.Service.VerifyAddress(r.Context(), req))
}

func (h *handler) resendVerification(w http.ResponseWriter, r *http.Request) error {
	var email string
	if err := decode(w, r, members{"email": &email}); err != nil {
		return err
	}
	return accepted(w, h.Service.ResendVerification(r.Context(), email, client(r)))
}

func (h *handler) forgotPassword(w http.ResponseWriter, r *http.Request) error {
	var email string
	if err := decode(w, r, members{"email": &email}); err != nil {
		return err
	}
	return accepted(w, h.Service.ForgotPassword(r.Context(), email, client(r)))
}

func (h *handler) resetPassword(w http.ResponseWriter, r *http.Request) error {
	req := auth.TicketRequest{Client: client(r)}
	var password string
	m := members{"token": &req.Token, "email": &req.Email, "code": &req.Code, "password": &password}
	if err := decode(w, r, m, "token", "email", "code"); err != nil {
		return err
	}
	return answerEmpty(w, h.Service.ResetPassword(r.Context(), req, password))
}

func (h *handler) changeEmail(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.claims(r)
	if err != nil {
		return err
	}
	var password, email string
	if err := decode(w, r, members{"password": &password, "email": &email}); err != nil {
		return err
	}
	return accepted(w, h.Service.ChangeEmail(r.Context(), claims, password, email, client(r)))
}

// OpenAPI is the description of every route (OpenAPI 3.1).
//
//go:embed openapi.json
var OpenAPI []byte

func (h *handler) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write(h.document)
	return err
}
