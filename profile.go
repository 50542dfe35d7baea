package latchkey

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A ClaimPath names a claim: a member of the token's payload, or the way into the
// objects that it holds. {"scope"} is the member scope, {"realm_access", "roles"}
// the member roles of the object realm_access. Dots within a name mean nothing.
type ClaimPath []string

// String returns the names with dots between them.
func (p ClaimPath) String() string { return strings.Join(p, ".") }

func (p ClaimPath) check() error {
	if len(p) == 0 || slices.Contains(p, "") {
		return errors.New("a claim's path is empty")
	}
	return nil
}

// A Match asks for a claim with one of the values. Without Values any will do,
// but an empty text and null. Booleans and numbers are matched as they are
// written; a list matches when one of its elements does.
type Match struct {
	Claim  ClaimPath
	Values []string
}

// String says what is asked for, for errors and logs.
func (m Match) String() string {
	if len(m.Values) == 0 {
		return m.Claim.String()
	}
	return m.Claim.String() + " = " + strings.Join(m.Values, " or ")
}

// A Profile says how an issuer spells its access tokens. There are ready ones:
// [RFC9068], [Auth0], [Cognito] and more, see [ProfileNamed]. Each call returns a
// new one, which you may change.
type Profile struct {
	// Types are the accepted values of the header's typ; case does not count.
	// "" stands for a token without one. "JWT" and "" say nothing: a profile that
	// takes them needs a Mark.
	Types []string
	// Mark is what access tokens have and no other tokens of the issuer: all of it.
	Mark []Match
	// IDTokens takes ID tokens. Without it tokens with at_hash or c_hash, which ID
	// tokens alone have, are refused.
	IDTokens bool
	// Audience is the claim that must hold one of the issuer's Audiences. Empty is
	// aud.
	Audience string
	// Scopes are the claims that hold scopes or roles: a text of words, or a list.
	// All count. No profile reads what users may change themselves.
	Scopes []ClaimPath
	// Subject are the claims that say who the token is about; the first that it
	// has counts. The issuer must never give it to another user: no e-mail addresses.
	// Empty is sub.
	Subject []string
}

func (p *Profile) check() error {
	if len(p.Types) == 0 {
		return errors.New("its profile accepts no typ; take one of the ready profiles, as latchkey.RFC9068()")
	}
	vague := slices.ContainsFunc(p.Types, func(typ string) bool { return typ == "" || strings.EqualFold(typ, "JWT") })
	if vague && len(p.Mark) == 0 {
		return errors.New("its profile accepts typ JWT or none, which ID tokens have too: it needs a Mark that only access tokens have")
	}
	for _, m := range p.Mark {
		if err := m.Claim.check(); err != nil {
			return fmt.Errorf("its Mark: %w", err)
		}
	}
	for _, path := range p.Scopes {
		if err := path.check(); err != nil {
			return fmt.Errorf("its Scopes: %w", err)
		}
	}
	return ClaimPath(p.Subject).checkNames()
}

// checkNames takes no names, but no empty one.
func (p ClaimPath) checkNames() error {
	if slices.Contains(p, "") {
		return errors.New("its Subject: a claim has no name")
	}
	return nil
}

// accessTypes are those of RFC 9068 section 2.1.
var accessTypes = []string{"at+jwt", "application/at+jwt"}

func jwtTypes() []string { return []string{"JWT"} }

func claim(path ...string) ClaimPath { return path }

// Latchkey is for another latchkey: of another stage, or of another organization.
func Latchkey() Profile {
	return Profile{Types: slices.Clone(accessTypes), Scopes: []ClaimPath{{"scope"}}}
}

// RFC9068 is for issuers that follow RFC 9068, with its claims for roles, groups
// and entitlements (section 2.2.3.1).
func RFC9068() Profile {
	return Profile{Types: slices.Clone(accessTypes), Scopes: []ClaimPath{{"scope"}, {"roles"}, {"groups"}, {"entitlements"}}}
}

// Cognito is for access tokens of Amazon Cognito user pools. They name no
// audience but the app client; groups count as scopes. For tokens bound to a
// resource server's URL set Audience to aud.
func Cognito() Profile {
	return Profile{
		Types:    []string{"", "JWT"},
		Mark:     []Match{{claim("token_use"), []string{"access"}}},
		Audience: "client_id",
		Scopes:   []ClaimPath{{"scope"}, {"cognito:groups"}},
	}
}

// CognitoID is for ID tokens of Amazon Cognito user pools, which API Gateway's own
// Cognito authorizer takes as well.
func CognitoID() Profile {
	return Profile{
		Types:    []string{"", "JWT"},
		Mark:     []Match{{claim("token_use"), []string{"id"}}},
		IDTokens: true,
		Scopes:   []ClaimPath{{"cognito:groups"}},
	}
}

// Auth0 is for access tokens of Auth0 APIs, in its own and in the RFC 9068 token
// profile. The audience is the API's identifier; the URL ends in a slash.
func Auth0() Profile {
	return Profile{
		Types:  append(jwtTypes(), accessTypes...),
		Mark:   []Match{{Claim: claim("azp")}},
		Scopes: []ClaimPath{{"scope"}, {"permissions"}},
	}
}

// Okta is for access tokens of Okta's custom authorization servers. Its sub is
// the login, which can change; uid, or cid for a service, takes its place.
func Okta() Profile {
	return Profile{
		Types:   append([]string{""}, append(jwtTypes(), accessTypes...)...),
		Mark:    []Match{{Claim: claim("cid")}},
		Scopes:  []ClaimPath{{"scp"}},
		Subject: []string{"uid", "cid"},
	}
}

// Entra is for access tokens of Microsoft Entra ID, version 2.0: the URL is
// https://login.microsoftonline.com/TENANT/v2.0, the audience the API's client id.
// With "common" or "organizations" as tenant, Require must list the tid of the
// tenants.
func Entra() Profile {
	return Profile{
		Types:  jwtTypes(),
		Mark:   []Match{{claim("ver"), []string{"2.0"}}, {Claim: claim("azp")}},
		Scopes: []ClaimPath{{"scp"}, {"roles"}},
	}
}

// EntraV1 is for access tokens of Microsoft Entra ID, version 1.0: the URL is
// https://sts.windows.net/TENANT/.
func EntraV1() Profile {
	return Profile{
		Types:  jwtTypes(),
		Mark:   []Match{{claim("ver"), []string{"1.0"}}, {Claim: claim("appid")}},
		Scopes: []ClaimPath{{"scp"}, {"roles"}},
	}
}

// Google is for ID tokens of Google accounts and service accounts; Google's access
// tokens are none that others can verify. Anybody has an account: Require must
// list hd, the organization, or sub.
func Google() Profile {
	return Profile{Types: jwtTypes(), Mark: []Match{{Claim: claim("azp")}}, IDTokens: true}
}

// Firebase is for the ID tokens of Firebase Authentication: the URL is
// https://securetoken.google.com/PROJECT, the audience the project. Roles are
// custom claims.
func Firebase() Profile {
	return Profile{
		Types:    jwtTypes(),
		Mark:     []Match{{Claim: claim("firebase", "sign_in_provider")}},
		IDTokens: true,
		Scopes:   []ClaimPath{{"roles"}},
	}
}

// Keycloak is for access tokens of Keycloak. The audience is often "account"
// alone, for every client: add an audience mapper, or set Audience to azp.
// Roles of a client are at {"resource_access", CLIENT, "roles"}.
func Keycloak() Profile {
	return Profile{
		Types:  append(jwtTypes(), accessTypes...),
		Mark:   []Match{{claim("typ"), []string{"Bearer"}}},
		Scopes: []ClaimPath{{"scope"}, {"realm_access", "roles"}},
	}
}

// Supabase is for access tokens of Supabase Auth: the URL is
// https://REF.supabase.co/auth/v1, the audience "authenticated". Roles come from
// app_metadata, never from user_metadata, which users write themselves. Where
// anonymous sign-ins are on, require is_anonymous to be false.
func Supabase() Profile {
	return Profile{
		Types:  jwtTypes(),
		Mark:   []Match{{claim("role"), []string{"authenticated"}}, {Claim: claim("session_id")}},
		Scopes: []ClaimPath{{"app_metadata", "roles"}},
	}
}

// Clerk is for session tokens of Clerk, version 2. They have no audience: azp, the
// origin of the page, takes its place. The role in the organization counts as a
// scope.
func Clerk() Profile {
	return Profile{
		Types:    jwtTypes(),
		Mark:     []Match{{claim("sts"), []string{"active"}}, {Claim: claim("sid")}},
		Audience: "azp",
		Scopes:   []ClaimPath{{"o", "rol"}},
	}
}

// GitHubActions is for the tokens of GitHub Actions workflows. A workflow chooses
// the audience, and anybody has workflows: Require must list repository_owner,
// repository or the id of one. There are no scopes.
func GitHubActions() Profile {
	return Profile{Types: jwtTypes(), Mark: []Match{{Claim: claim("job_workflow_ref")}}}
}

// Kubernetes is for service account tokens of a cluster, bound to an audience.
// There are no scopes.
func Kubernetes() Profile {
	return Profile{Types: []string{"", "JWT"}, Mark: []Match{{Claim: claim("kubernetes.io", "serviceaccount", "name")}}}
}

var profiles = []struct {
	name string
	make func() Profile
}{
	{"latchkey", Latchkey}, {"rfc9068", RFC9068}, {"cognito", Cognito}, {"cognito-id", CognitoID}, {"auth0", Auth0}, {"okta", Okta},
	{"entra", Entra}, {"entra-v1", EntraV1}, {"google", Google}, {"firebase", Firebase}, {"keycloak", Keycloak}, {"supabase", Supabase},
	{"clerk", Clerk}, {"github-actions", GitHubActions}, {"kubernetes", Kubernetes},
}

// ProfileNamed returns a ready profile by the name that settings call it.
func ProfileNamed(name string) (Profile, bool) {
	for _, p := range profiles {
		if p.name == name {
			return p.make(), true
		}
	}
	return Profile{}, false
}

// ProfileNames returns the names of the ready profiles.
func ProfileNames() []string {
	names := make([]string, len(profiles))
	for i, p := range profiles {
		names[i] = p.name
	}
	return names
}
