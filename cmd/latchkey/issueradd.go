package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/issuers"
)

type issuerAddCmd struct {
	URL           string   `arg:"" help:"The issuer: the exact iss of its tokens."`
	Name          string   `help:"What routes call it, and what stands before the subject in principals. Default: its profile." placeholder:"NAME"`
	Profile       string   `help:"How it spells its tokens. Default: what the URL looks like, or rfc9068." placeholder:"NAME"`
	Audience      []string `help:"Whom its tokens are for: one of these must be in the claim that the profile names." placeholder:"NAME"`
	AudienceClaim string   `help:"Claim in place of the profile's." placeholder:"CLAIM"`
	Scope         []string `help:"Scopes and roles that its tokens may grant. Default: none." placeholder:"SCOPE"`
	Require       []string `help:"CLAIM=VALUE that its tokens must have; a claim may stand several times." placeholder:"CLAIM=VALUE"`
	JWKSURI       string   `name:"jwks-uri" help:"Where its key set is. Default: where its discovery document says." placeholder:"URL"`
	AllowPrivate  bool     `help:"It is in your own network, or on this machine."`
	Yes           bool     `short:"y" help:"Do not ask."`
}

func (c *issuerAddCmd) Run(ctx context.Context, p *process) error {
	y, err := c.entry(p.config.issuers)
	if err != nil {
		return err
	}
	one, err := y.issuer()
	if err != nil {
		return plainFlag(err)
	}
	if err := issuers.Check([]issuers.Issuer{one}); err != nil {
		return usagef("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	keys, err := snapshot(ctx, one)
	if err != nil {
		return plainFlag(err)
	}
	file := cmp.Or(p.config.path, p.config.named, defaultConfig)
	var before *issuers.Issuer
	if at := issuers.Find(p.config.issuers, one.Name); at >= 0 {
		before = &p.config.issuers[at]
	}
	showIssuer(p.stdout, file, before, one, keys)
	changed, err := replaceEntry(p.config.doc, y.Name, &y)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := p.config.onlyIssuer(file, changed, y.Name); err != nil {
		return err
	}
	if err := p.confirm(c.Yes, "write it to "+file+"?"); err != nil {
		return err
	}
	if err := os.WriteFile(file, changed, 0o644); err != nil {
		return fmt.Errorf("writing the configuration file: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s has issuer %s\n", file, y.Name)
	if routesOf(p.config.routes, y.Name) == 0 {
		fmt.Fprintf(p.stdout, "next: no route admits it yet; write issuers: [%s] at those that shall\n", y.Name)
	}
	return nil
}

// plainFlag calls the setting by its flag.
func plainFlag(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "allow_private: true", "--allow-private"))
}

// entry is what the file would say.
func (c *issuerAddCmd) entry(list []issuers.Issuer) (yamlIssuer, error) {
	y := yamlIssuer{Name: c.Name, URL: c.URL, Profile: cmp.Or(c.Profile, guessProfile(c.URL)), Audiences: c.Audience, AudienceClaim: c.AudienceClaim, Scopes: c.Scope, JWKSURI: c.JWKSURI, AllowPrivate: c.AllowPrivate}
	profile, ok := latchkey.ProfileNamed(y.Profile)
	if !ok {
		return y, usagef("--profile %q is not known; known are %s", y.Profile, strings.Join(latchkey.ProfileNames(), ", "))
	}
	if y.Name == "" {
		y.Name = y.Profile
		if y.Name == issuers.OwnName {
			y.Name = "other-latchkey"
		}
		if at := issuers.Find(list, y.Name); at >= 0 && list[at].URL != c.URL {
			return y, usagef("there is another issuer called %s: give this one a --name", y.Name)
		}
	}
	if len(y.Audiences) == 0 {
		return y, usagef("--audience is missing: the %s of its tokens (%s), without which tokens for every other program would be good here", cmp.Or(c.AudienceClaim, profile.Audience, "aud"), audienceOf(y.Profile))
	}
	for _, text := range c.Require {
		claim, value, ok := strings.Cut(text, "=")
		if !ok || claim == "" || value == "" {
			return y, usagef("--require %q must be CLAIM=VALUE", text)
		}
		at := slices.IndexFunc(y.Require, func(m latchkey.Match) bool { return m.Claim[0] == claim })
		if at < 0 {
			at = len(y.Require)
			y.Require = append(y.Require, latchkey.Match{Claim: latchkey.ClaimPath{claim}})
		}
		y.Require[at].Values = append(y.Require[at].Values, value)
	}
	return y, nil
}

func audienceOf(profile string) string {
	switch profile {
	case "cognito", "cognito-id":
		return "the app client's id"
	case "auth0":
		return "the API's identifier"
	case "clerk":
		return "the origin of the page"
	case "firebase":
		return "the project"
	}
	return "as the issuer calls your API"
}

// profileHosts say by which URLs issuers are known.
var profileHosts = []struct {
	url, profile string // url is a pattern, compiled at use: every start would pay for all
}{
	{`^https://cognito-idp\.[^/]+\.amazonaws\.com(\.cn)?/`, "cognito"},
	{`^https://[^/]+\.auth0\.com/`, "auth0"},
	{`^https://[^/]+\.(okta|oktapreview|okta-emea)\.com/`, "okta"},
	{`^https://login\.microsoftonline\.com/[^/]+/v2\.0$`, "entra"},
	{`^https://sts\.windows\.net/`, "entra-v1"},
	{`^https://accounts\.google\.com$`, "google"},
	{`^https://securetoken\.google\.com/`, "firebase"},
	{`^https://[^/]+\.supabase\.co/auth/v1$`, "supabase"},
	{`^https://[^/]+\.clerk\.accounts\.dev$`, "clerk"},
	{`^https://token\.actions\.githubusercontent\.com$`, "github-actions"},
	{`^https?://[^/]+(/auth)?/realms/[^/]+$`, "keycloak"},
}

func guessProfile(issuer string) string {
	for _, known := range profileHosts {
		if regexp.MustCompile(known.url).MatchString(issuer) {
			return known.profile
		}
	}
	return "rfc9068"
}
