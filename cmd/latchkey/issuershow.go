package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/issuers"
)

// showIssuer prints what would be accepted, as the difference to what is.
func showIssuer(w io.Writer, file string, before *issuers.Issuer, after issuers.Issuer, keys []byte) {
	fmt.Fprintf(w, "%s: what would be accepted\n", file)
	next := accepted(after)
	var last []string
	if before != nil {
		last = accepted(*before)
	}
	for _, line := range last {
		if !slices.Contains(next, line) {
			fmt.Fprintln(w, "- "+line)
		}
	}
	for _, line := range next {
		mark := "+ "
		if slices.Contains(last, line) {
			mark = "  "
		}
		fmt.Fprintln(w, mark+line)
	}
	fmt.Fprintln(w, "  keys now: "+describeKeys(keys))
}

// accepted says in lines which tokens of an issuer are good, and for what.
func accepted(i issuers.Issuer) []string {
	profile, _ := latchkey.ProfileNamed(i.Profile)
	types := make([]string, len(profile.Types))
	for n, typ := range profile.Types {
		types[n] = cmp.Or(typ, "none")
	}
	lines := []string{
		"tokens of " + i.URL + ", by profile " + i.Profile + "; principals are " + i.Name + "|SUBJECT",
		"typ: " + strings.Join(types, " or "),
		cmp.Or(i.AudienceClaim, profile.Audience, "aud") + ": " + strings.Join(i.Audiences, " or "),
	}
	if profile.IDTokens {
		lines = append(lines, "ID tokens, which every client of the issuer can get")
	}
	for _, m := range slices.Concat(profile.Mark, i.Require) {
		lines = append(lines, "only with "+m.String())
	}
	if len(i.Scopes) == 0 {
		lines = append(lines, "no scopes: routes that ask for none")
	}
	for _, s := range i.Scopes {
		lines = append(lines, "scope "+s)
	}
	at := cmp.Or(i.JWKSURI, "where "+strings.TrimSuffix(i.URL, "/")+"/.well-known/openid-configuration says")
	if i.Pinned {
		at = "of a file"
	}
	return append(lines, "keys: "+at)
}

func describeKeys(doc []byte) string {
	var set struct {
		Keys []struct {
			ID  string `json:"kid"`
			Alg string `json:"alg"`
		} `json:"keys"`
	}
	if json.Unmarshal(doc, &set) != nil {
		return "none"
	}
	var keys []string
	for _, k := range set.Keys {
		keys = append(keys, fmt.Sprintf("%s %q", cmp.Or(k.Alg, "?"), k.ID))
	}
	return strings.Join(keys, ", ")
}
