package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// discovery is as much of OpenID Connect Discovery 1.0 section 3 and of RFC 8414
// section 2 as is true here: who knows the issuer finds the keys. There is no
// endpoint of OAuth, so none is named, and no type of response is supported.
// docs/api.md says which required members are missing.
type discovery struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	// Algorithms are those of the published keys. Libraries take no other for
	// tokens of the issuer, and RS256 alone where the member is missing.
	Algorithms []string `json:"id_token_signing_alg_values_supported"`
}

// discover answers both of the well-known paths. Where no keys are published, or
// where nobody knows at which URL, there is nothing to find.
func (h *handler) discover(w http.ResponseWriter, r *http.Request) error {
	algorithms, err := h.publishedAlgorithms(r.Context())
	if err != nil {
		return err
	}
	if len(algorithms) == 0 || h.Service.PublicURL == "" {
		return fmt.Errorf("no keys are published: %w", storage.ErrNotFound)
	}
	w.Header().Set("Cache-Control", h.publicCache())
	return writeJSON(w, http.StatusOK, discovery{
		Issuer:        h.Service.Issuer,
		JWKSURI:       strings.TrimSuffix(h.Service.PublicURL, "/") + "/.well-known/jwks.json",
		ResponseTypes: []string{},
		SubjectTypes:  []string{"public"}, // sub is the same for all who ask
		Algorithms:    algorithms,
	})
}

// publishedAlgorithms are those of the key set, each once, in order.
func (h *handler) publishedAlgorithms(ctx context.Context) ([]string, error) {
	var set struct {
		Keys []struct {
			Algorithm string `json:"alg"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(h.JWKS(ctx), &set); err != nil {
		return nil, fmt.Errorf("parsing our own key set: %w", err)
	}
	var all []string
	for _, key := range set.Keys {
		all = append(all, key.Algorithm)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// publicCache is how long anybody may keep keys and where they are.
func (h *handler) publicCache() string { return fmt.Sprintf("public, max-age=%d", h.JWKSMaxAge) }
