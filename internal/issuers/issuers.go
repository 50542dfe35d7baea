// Package issuers is what an authorizer is told of other issuers than latchkey: who they
// are, which of their tokens are good here, and where their keys are. issuers.json holds
// it beside the bootstrap, and latchkey.yaml under "issuers".
//
// It fetches nothing. The package remote below it makes key sets that are fetched.
package issuers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey"
)

// An Issuer is one of them.
type Issuer struct {
	Name      string // see [latchkey.Issuer]
	URL       string // the exact iss of its tokens
	Profile   string // the name of a ready profile
	Audiences []string
	Scopes    []string // that its tokens may grant
	Require   []latchkey.Match

	// AudienceClaim takes the place of the profile's; empty: that stays.
	AudienceClaim string
	// ScopeClaims are read beside those of the profile.
	ScopeClaims []latchkey.ClaimPath

	JWKS         []byte // its key set when the file was written; nil: none
	Pinned       bool   // JWKS is all there is: nothing is fetched
	JWKSURI      string // where the key set is; empty: where its discovery document says
	AllowPrivate bool   // it is in the same network, or on this machine
}

// OwnName is how routes name latchkey itself, which no other issuer may be called.
const OwnName = "latchkey"

// A KeySource makes the key set of an issuer.
type KeySource func(Issuer) (latchkey.KeySet, error)

// Pinned is the key source of programs that fetch nothing.
func Pinned(i Issuer) (latchkey.KeySet, error) {
	if !i.Pinned {
		return nil, errors.New("its keys are to be fetched, which this bootstrap cannot: take authorizer-remote, or pin the keys by `latchkey issuer compile --pin`")
	}
	return latchkey.ParseJWKS(i.JWKS)
}

// verified is the issuer as the verifier takes it.
func (i Issuer) verified(keys latchkey.KeySet) (latchkey.Issuer, error) {
	profile, ok := latchkey.ProfileNamed(i.Profile)
	switch {
	case i.Name == OwnName:
		return latchkey.Issuer{}, fmt.Errorf("the name %q is that of latchkey itself: choose another one", OwnName)
	case !ok:
		return latchkey.Issuer{}, fmt.Errorf("profile %.40q is not known; known are %s", i.Profile, strings.Join(latchkey.ProfileNames(), ", "))
	case i.Pinned && (i.JWKS == nil || i.JWKSURI != ""):
		return latchkey.Issuer{}, errors.New("pinned keys need the key set itself, and no address")
	}
	if i.AudienceClaim != "" {
		profile.Audience = i.AudienceClaim
	}
	profile.Scopes = append(profile.Scopes, i.ScopeClaims...)
	return latchkey.Issuer{Name: i.Name, URL: i.URL, Audiences: i.Audiences, Keys: keys, Profile: profile, Scopes: i.Scopes, Require: i.Require}, nil
}

// Verified are the issuers as a verifier takes them, with keys of the source.
func Verified(list []Issuer, source KeySource) ([]latchkey.Issuer, error) {
	var all []latchkey.Issuer
	for _, i := range list {
		keys, err := source(i)
		if err != nil {
			return nil, fmt.Errorf("issuer %.40q: %w", i.Name, err)
		}
		one, err := i.verified(keys)
		if err != nil {
			return nil, fmt.Errorf("issuer %.40q: %w", i.Name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// Check refuses what a verifier would refuse, without a key.
func Check(list []Issuer) error {
	if len(list) == 0 {
		return nil
	}
	all, err := Verified(list, func(Issuer) (latchkey.KeySet, error) { return noKeys{}, nil })
	if err == nil {
		_, err = latchkey.New(latchkey.Config{Issuers: all})
	}
	return err
}

type noKeys struct{}

func (noKeys) Key(context.Context, string, latchkey.Algorithm) (*latchkey.Key, error) {
	return nil, latchkey.ErrKeyNotFound
}

// Names are what routes may call the issuers; OwnName is among them where latchkey's own
// tokens are good too.
func Names(list []Issuer, own bool) []string {
	names := []string{}
	if own {
		names = append(names, OwnName)
	}
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

// Find returns where the issuer of the name is in the list; -1: nowhere.
func Find(list []Issuer, name string) int {
	return slices.IndexFunc(list, func(i Issuer) bool { return i.Name == name })
}
