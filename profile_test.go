package latchkey_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// A shape is a token as an issuer documents it, with values that are made up.
type shape struct {
	profile   string // a name of ProfileNames
	issuer    latchkey.Issuer
	alg       latchkey.Algorithm
	header    string // %kid% is the key's id
	payload   []string
	principal string
	scope     string
	refused   []variant
}

// A variant is a token like it that must be refused.
type variant struct {
	name   string
	header string   // empty: as before
	change []string // of the payload, as in claims
	check  latchkey.Check
}

const (
	typeOf     = latchkey.CheckType
	audienceOf = latchkey.CheckAudience
)

// timed adds the times that all issuers write.
func timed(members ...string) []string {
	return append(members, "exp", "1800000600", "iat", "1799999900")
}

const noTyp, plainJWT, atJWT = `{"kid":"%kid%","alg":"%alg%"}`, `{"alg":"%alg%","typ":"JWT","kid":"%kid%"}`, `{"alg":"%alg%","typ":"at+jwt","kid":"%kid%"}`

func shapes() []shape {
	const (
		cognito  = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab3dEf6hI"
		tid      = "11111111-2222-3333-4444-555555555555"
		entra    = "https://login.microsoftonline.com/" + tid + "/v2.0"
		keycloak = "https://sso.example.com/realms/shop"
	)
	text := func(s string) string { return `"` + s + `"` }
	return []shape{
		{
			profile: "latchkey",
			issuer:  latchkey.Issuer{URL: "https://auth.stage.example.com", Audiences: []string{audience}, Scopes: []string{"orders:read", "orders:write"}},
			alg:     latchkey.ES256, header: atJWT,
			payload: timed("iss", `"https://auth.stage.example.com"`, "aud", text(audience), "sub", `"u_7f3a"`, "client_id", `"web"`, "jti", `"t1"`, "sid", `"s1"`,
				"scope", `"orders:read admin"`, "username", `"ada"`),
			principal: "u_7f3a", scope: "orders:read",
			refused: []variant{{"an ID token", plainJWT, nil, typeOf}},
		},
		{
			profile: "rfc9068", // RFC 9068 section 2.2.3, figure 3
			issuer:  latchkey.Issuer{URL: "https://authorization-server.example.com/", Audiences: []string{"https://rs.example.com/"}, Scopes: []string{"reademail", "admins"}},
			alg:     latchkey.RS256, header: `{"typ":"at+JWT","alg":"%alg%","kid":"%kid%"}`,
			payload: timed("iss", `"https://authorization-server.example.com/"`, "sub", `"5ba552d67"`, "aud", `"https://rs.example.com/"`, "jti", `"dbe39bf3a3ba4238a513f51d6e1691c4"`,
				"client_id", `"s6BhdRkqt3"`, "scope", `"openid profile reademail"`, "groups", `["users","admins"]`),
			principal: "5ba552d67", scope: "reademail admins",
			refused: []variant{
				{"typ JWT", plainJWT, nil, typeOf},
				{"no typ", noTyp, nil, typeOf},
				{"another audience", "", []string{"aud", `"https://other.example.com/"`}, audienceOf},
			},
		},
		{
			profile: "cognito",
			issuer:  latchkey.Issuer{URL: cognito, Audiences: []string{"1example23456789"}, Scopes: []string{"orders/read", "admins"}},
			alg:     latchkey.RS256, header: noTyp,
			payload: timed("sub", `"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"`, "device_key", `"aaaa"`, "cognito:groups", `["admins"]`, "iss", text(cognito), "version", "2",
				"client_id", `"1example23456789"`, "origin_jti", `"aaaa"`, "event_id", `"bbbb"`, "token_use", `"access"`, "scope", `"phone openid orders/read"`,
				"auth_time", "1799999900", "jti", `"cccc"`, "username", `"ada"`),
			principal: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", scope: "orders/read admins",
			refused: []variant{
				{"an ID token", "", []string{"token_use", `"id"`, "client_id", "", "aud", `"1example23456789"`}, typeOf},
				{"an ID token with at_hash", "", []string{"token_use", `"id"`, "at_hash", `"AAAA"`}, typeOf},
				{"another client", "", []string{"client_id", `"2example"`}, audienceOf},
				{"no client", "", []string{"client_id", ""}, audienceOf},
				{"the client in aud", "", []string{"client_id", "", "aud", `"1example23456789"`}, audienceOf},
				{"another user pool", "", []string{"iss", text(strings.Replace(cognito, "Ab3", "Xy3", 1))}, latchkey.CheckIssuer},
			},
		},
		{
			profile: "cognito-id",
			issuer:  latchkey.Issuer{URL: cognito, Audiences: []string{"1example23456789"}, Scopes: []string{"admins"}},
			alg:     latchkey.RS256, header: noTyp,
			payload: timed("sub", `"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"`, "aud", `"1example23456789"`, "cognito:groups", `["admins","x"]`, "email_verified", "true", "iss", text(cognito),
				"cognito:username", `"ada"`, "origin_jti", `"aaaa"`, "at_hash", `"AAAA"`, "event_id", `"bbbb"`, "token_use", `"id"`, "auth_time", "1799999900", "email", `"ada@example.com"`, "jti", `"d"`),
			principal: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", scope: "admins",
			refused: []variant{
				{"an access token", "", []string{"token_use", `"access"`, "at_hash", "", "aud", "", "client_id", `"1example23456789"`}, typeOf},
				{"another client", "", []string{"aud", `"2example"`}, audienceOf},
			},
		},
		{
			profile: "auth0",
			issuer:  latchkey.Issuer{URL: "https://shop.eu.auth0.com/", Audiences: []string{"https://api.example.com"}, Scopes: []string{"read:orders", "delete:orders"}},
			alg:     latchkey.RS256, header: plainJWT,
			payload: timed("iss", `"https://shop.eu.auth0.com/"`, "sub", `"auth0|65a1b2c3d4e5f60718293a4b"`, "aud", `["https://api.example.com","https://shop.eu.auth0.com/userinfo"]`,
				"azp", `"my_client_id"`, "scope", `"openid profile read:orders"`, "permissions", `["delete:orders","read:orders"]`, "https://example.com/roles", `["a"]`),
			principal: "auth0|65a1b2c3d4e5f60718293a4b", scope: "read:orders delete:orders",
			refused: []variant{
				{"an ID token", "", []string{"azp", "", "scope", "", "permissions", "", "aud", `"https://api.example.com"`, "nonce", `"n"`, "sid", `"s"`}, typeOf},
				{"an ID token with at_hash", "", []string{"at_hash", `"AAAA"`}, typeOf},
				{"another API", "", []string{"aud", `"https://other.example.com"`}, audienceOf},
				{"the issuer without its slash", "", []string{"iss", `"https://shop.eu.auth0.com"`}, latchkey.CheckIssuer},
			},
		},
		{
			profile: "okta",
			issuer:  latchkey.Issuer{URL: "https://dev-1.okta.com/oauth2/default", Audiences: []string{"api://default"}, Scopes: []string{"orders.read"}},
			alg:     latchkey.RS256, header: noTyp,
			payload: timed("ver", "1", "jti", `"AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE"`, "iss", `"https://dev-1.okta.com/oauth2/default"`, "aud", `"api://default"`,
				"sub", `"ada@example.com"`, "cid", `"0oaabc"`, "uid", `"00uabc"`, "scp", `["openid","orders.read"]`, "auth_time", "1799999900"),
			principal: "00uabc", scope: "orders.read",
			refused: []variant{
				{"an ID token", "", []string{"cid", "", "uid", "", "scp", "", "aud", `"api://default"`, "jti", `"ID.x"`, "sub", `"00uabc"`}, typeOf},
				{"another audience", "", []string{"aud", `"api://other"`}, audienceOf},
				{"a token of Okta's own API", `{"alg":"%alg%","typ":"application/okta-internal-at+jwt","kid":"%kid%"}`, nil, typeOf},
				{"uid a number", "", []string{"uid", "5"}, latchkey.CheckClaims},
				{"scp an object", "", []string{"scp", `{"orders.read":true}`}, latchkey.CheckClaims},
				{"scp with a number", "", []string{"scp", `["orders.read",1]`}, latchkey.CheckClaims},
			},
		},
		{
			profile: "entra",
			issuer:  latchkey.Issuer{URL: entra, Audiences: []string{"66666666-7777-8888-9999-aaaaaaaaaaaa"}, Scopes: []string{"Orders.Read", "Orders.Admin"}},
			alg:     latchkey.RS256, header: `{"typ":"JWT","alg":"%alg%","kid":"%kid%"}`,
			payload: timed("aud", `"66666666-7777-8888-9999-aaaaaaaaaaaa"`, "iss", text(entra), "nbf", "1799999900", "aio", `"x"`, "azp", `"bbbbbbbb-0000-0000-0000-000000000000"`, "azpacr", `"0"`,
				"name", `"Ada"`, "oid", `"cccccccc-0000-0000-0000-000000000000"`, "preferred_username", `"ada@example.com"`, "rh", `"x"`, "scp", `"Orders.Read User.Read"`, "roles", `["Orders.Admin"]`,
				"sub", `"HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ"`, "tid", text(tid), "uti", `"x"`, "ver", `"2.0"`),
			principal: "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", scope: "Orders.Read Orders.Admin",
			refused: []variant{
				{"an ID token with roles", "", []string{"azp", "", "azpacr", "", "scp", "", "nonce", `"n"`}, typeOf},
				{"version 1.0", "", []string{"ver", `"1.0"`}, typeOf},
				{"another API", "", []string{"aud", `"00000003-0000-0000-c000-000000000000"`}, audienceOf},
				{"another tenant", "", []string{"iss", `"https://login.microsoftonline.com/other/v2.0"`}, latchkey.CheckIssuer},
			},
		},
		{
			profile: "entra-v1",
			issuer:  latchkey.Issuer{URL: "https://sts.windows.net/" + tid + "/", Audiences: []string{"api://orders"}, Scopes: []string{"Orders.Admin"}},
			alg:     latchkey.RS256, header: `{"typ":"JWT","alg":"%alg%","x5t":"%kid%","kid":"%kid%"}`,
			payload: timed("aud", `"api://orders"`, "iss", `"https://sts.windows.net/`+tid+`/"`, "nbf", "1799999900", "appid", `"bbbbbbbb-0000-0000-0000-000000000000"`, "appidacr", `"1"`,
				"oid", `"dddddddd-0000-0000-0000-000000000000"`, "roles", `["Orders.Admin"]`, "sub", `"dddddddd-0000-0000-0000-000000000000"`, "tid", text(tid), "uti", `"x"`, "ver", `"1.0"`),
			principal: "dddddddd-0000-0000-0000-000000000000", scope: "Orders.Admin",
			refused: []variant{
				{"an ID token", "", []string{"appid", "", "appidacr", ""}, typeOf},
				{"version 2.0", "", []string{"ver", `"2.0"`}, typeOf},
			},
		},
		{
			profile: "google",
			issuer: latchkey.Issuer{URL: "https://accounts.google.com", Audiences: []string{"1234987819200.apps.googleusercontent.com"},
				Require: []latchkey.Match{{Claim: latchkey.ClaimPath{"hd"}, Values: []string{"example.com"}}}},
			alg: latchkey.RS256, header: plainJWT,
			payload: timed("iss", `"https://accounts.google.com"`, "azp", `"1234987819200.apps.googleusercontent.com"`, "aud", `"1234987819200.apps.googleusercontent.com"`,
				"sub", `"10769150350006150715113082367"`, "at_hash", `"HK6E_P6Dh8Y93mRNtsDB1Q"`, "hd", `"example.com"`, "email", `"ada@example.com"`, "email_verified", "true", "nonce", `"n"`),
			principal: "10769150350006150715113082367",
			refused: []variant{
				{"a private account", "", []string{"hd", ""}, latchkey.CheckRequired},
				{"another organization", "", []string{"hd", `"evil.example"`}, latchkey.CheckRequired},
				{"hd in capitals", "", []string{"hd", `"EXAMPLE.COM"`}, latchkey.CheckRequired},
				{"another client", "", []string{"aud", `"evil.apps.googleusercontent.com"`}, audienceOf},
			},
		},
		{
			profile: "firebase",
			issuer:  latchkey.Issuer{URL: "https://securetoken.google.com/shop-1", Audiences: []string{"shop-1"}, Scopes: []string{"admin"}},
			alg:     latchkey.RS256, header: plainJWT,
			payload: timed("iss", `"https://securetoken.google.com/shop-1"`, "aud", `"shop-1"`, "auth_time", "1799999900", "user_id", `"lV4p"`, "sub", `"lV4p"`, "roles", `["admin"]`,
				"email", `"ada@example.com"`, "email_verified", "true", "firebase", `{"identities":{"email":["ada@example.com"]},"sign_in_provider":"password"}`),
			principal: "lV4p", scope: "admin",
			refused: []variant{
				{"another token of the project", "", []string{"firebase", ""}, typeOf},
				{"firebase a text", "", []string{"firebase", `"sign_in_provider"`}, typeOf},
				{"another project", "", []string{"aud", `"shop-2"`}, audienceOf},
				{"no sub", "", []string{"sub", ""}, latchkey.CheckSubject},
			},
		},
		{
			profile: "keycloak",
			issuer:  latchkey.Issuer{URL: keycloak, Audiences: []string{"orders-api"}, Scopes: []string{"orders:read", "admin"}},
			alg:     latchkey.RS256, header: plainJWT,
			payload: timed("auth_time", "1799999900", "jti", `"onrtac:1"`, "iss", text(keycloak), "aud", `["orders-api","account"]`, "sub", `"f1b2"`, "typ", `"Bearer"`, "azp", `"web"`, "sid", `"s1"`, "acr", `"1"`,
				"allowed-origins", `["https://shop.example.com"]`, "realm_access", `{"roles":["default-roles-shop","admin"]}`, "resource_access", `{"account":{"roles":["view-profile"]}}`,
				"scope", `"openid email orders:read"`, "preferred_username", `"ada"`),
			principal: "f1b2", scope: "orders:read admin",
			refused: []variant{
				{"an ID token", "", []string{"typ", `"ID"`}, typeOf},
				{"an ID token with at_hash", "", []string{"at_hash", `"AAAA"`}, typeOf},
				{"a refresh token", "", []string{"typ", `"Refresh"`}, typeOf},
				{"a logout token", "", []string{"typ", `"Logout"`}, typeOf},
				{"another client", "", []string{"aud", `"account"`}, audienceOf},
				{"another realm", "", []string{"iss", text(keycloak + "2")}, latchkey.CheckIssuer},
				{"Typ in wrong case", "", []string{"Typ", `"Bearer"`}, latchkey.CheckClaims},
				{"realm_access twice inside", "", []string{"realm_access", `{"roles":[],"roles":["admin"]}`}, latchkey.CheckClaims},
				{"realm roles a number", "", []string{"realm_access", `{"roles":7}`}, latchkey.CheckClaims},
			},
		},
		{
			profile: "supabase",
			issuer:  latchkey.Issuer{URL: "https://abcdefghij.supabase.co/auth/v1", Audiences: []string{"authenticated"}, Scopes: []string{"admin", "editor"}},
			alg:     latchkey.ES256, header: plainJWT,
			payload: timed("iss", `"https://abcdefghij.supabase.co/auth/v1"`, "sub", `"eeeeeeee-0000-0000-0000-000000000000"`, "aud", `"authenticated"`, "email", `"ada@example.com"`, "phone", `""`,
				"app_metadata", `{"provider":"email","providers":["email"],"roles":["editor"]}`, "user_metadata", `{"roles":["admin"]}`, "role", `"authenticated"`, "aal", `"aal1"`,
				"amr", `[{"method":"password","timestamp":1799999900}]`, "session_id", `"s1"`, "is_anonymous", "false"),
			principal: "eeeeeeee-0000-0000-0000-000000000000", scope: "editor",
			refused: []variant{
				{"the key of every page", "", []string{"role", `"anon"`, "session_id", ""}, typeOf},
				{"the key of the service", "", []string{"role", `"service_role"`}, typeOf},
				{"an ID token", "", []string{"role", "", "session_id", "", "aud", `"authenticated"`}, typeOf},
			},
		},
		{
			profile: "clerk",
			issuer:  latchkey.Issuer{URL: "https://clerk.example.com", Audiences: []string{"https://app.example.com"}, Scopes: []string{"admin"}},
			alg:     latchkey.RS256, header: `{"alg":"%alg%","cat":"cl_B7d4PD111AAA","kid":"%kid%","typ":"JWT"}`,
			payload: timed("azp", `"https://app.example.com"`, "fva", "[7,-1]", "iss", `"https://clerk.example.com"`, "jti", `"j"`, "nbf", "1799999890", "o", `{"id":"org_1","rol":"admin","slg":"shop"}`,
				"sid", `"sess_1"`, "sts", `"active"`, "sub", `"user_1"`, "v", "2"),
			principal: "user_1", scope: "admin",
			refused: []variant{
				{"a session that is pending", "", []string{"sts", `"pending"`}, typeOf},
				{"a token of a template", "", []string{"sid", "", "sts", ""}, typeOf},
				{"another page", "", []string{"azp", `"https://evil.example"`}, audienceOf},
				{"no page", "", []string{"azp", ""}, audienceOf},
				{"a list of pages", "", []string{"azp", `["https://app.example.com"]`}, latchkey.CheckClaims},
			},
		},
		{
			profile: "github-actions",
			issuer: latchkey.Issuer{URL: "https://token.actions.githubusercontent.com", Audiences: []string{"https://api.example.com"}, Require: []latchkey.Match{
				{Claim: latchkey.ClaimPath{"repository"}, Values: []string{"octo-org/octo-repo", "octo-org/other"}}, {Claim: latchkey.ClaimPath{"environment"}, Values: []string{"prod"}}}},
			alg: latchkey.RS256, header: `{"typ":"JWT","alg":"%alg%","x5t":"%kid%","kid":"%kid%"}`,
			payload: timed("jti", `"j"`, "sub", `"repo:octo-org/octo-repo:environment:prod"`, "environment", `"prod"`, "aud", `"https://api.example.com"`, "ref", `"refs/heads/main"`, "sha", `"s"`,
				"repository", `"octo-org/octo-repo"`, "repository_owner", `"octo-org"`, "repository_id", `"74"`, "repository_owner_id", `"65"`, "run_id", `"1"`, "run_attempt", `"2"`, "actor", `"octocat"`,
				"event_name", `"workflow_dispatch"`, "job_workflow_ref", `"octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main"`, "iss", `"https://token.actions.githubusercontent.com"`, "nbf", "1799999000"),
			principal: "repo:octo-org/octo-repo:environment:prod",
			refused: []variant{
				{"another repository", "", []string{"repository", `"evil/octo-repo"`}, latchkey.CheckRequired},
				{"a repository that begins alike", "", []string{"repository", `"octo-org/octo-repo2"`}, latchkey.CheckRequired},
				{"another environment", "", []string{"environment", `"dev"`}, latchkey.CheckRequired},
				{"no environment", "", []string{"environment", ""}, latchkey.CheckRequired},
				{"another audience", "", []string{"aud", `"https://github.com/octo-org"`}, audienceOf},
				{"no workflow", "", []string{"job_workflow_ref", ""}, typeOf},
			},
		},
		{
			profile: "kubernetes",
			issuer: latchkey.Issuer{URL: "https://oidc.eks.eu-west-1.amazonaws.com/id/ABCDEF", Audiences: []string{"orders"}, Require: []latchkey.Match{
				{Claim: latchkey.ClaimPath{"kubernetes.io", "namespace"}, Values: []string{"shop"}}}},
			alg: latchkey.RS256, header: noTyp,
			payload: timed("aud", `["orders"]`, "iss", `"https://oidc.eks.eu-west-1.amazonaws.com/id/ABCDEF"`, "jti", `"j"`, "nbf", "1799999900",
				"kubernetes.io", `{"namespace":"shop","node":{"name":"n1","uid":"u1"},"pod":{"name":"p1","uid":"u2"},"serviceaccount":{"name":"web","uid":"u3"},"warnafter":1800003600}`,
				"sub", `"system:serviceaccount:shop:web"`),
			principal: "system:serviceaccount:shop:web",
			refused: []variant{
				{"another namespace", "", []string{"kubernetes.io", `{"namespace":"other","serviceaccount":{"name":"web"}}`}, latchkey.CheckRequired},
				{"no service account", "", []string{"kubernetes.io", `{"namespace":"shop"}`}, typeOf},
				{"a token for the cluster", "", []string{"aud", `["https://kubernetes.default.svc"]`}, audienceOf},
			},
		},
	}
}

// token signs the shape with changes.
func (s shape) token(header string, change ...string) string {
	if header == "" {
		header = s.header
	}
	header = strings.NewReplacer("%kid%", kids[s.alg], "%alg%", string(s.alg)).Replace(header)
	return sign(s.alg, header, object(slices.Clone(s.payload), change))
}

// configured returns the shape's issuer, named and with its keys.
func (s shape) configured(t testing.TB) latchkey.Issuer {
	t.Helper()
	i := s.issuer
	i.Name, i.Keys = s.profile, must(latchkey.NewKeySet(publicKey(s.alg, kids[s.alg])))
	var ok bool
	if i.Profile, ok = latchkey.ProfileNamed(s.profile); !ok {
		t.Fatalf("there is no profile %q", s.profile)
	}
	return i
}

// allShapes returns a verifier of latchkey's own tokens and of every shape's
// issuer, but for one of the two that Cognito has under one URL.
func allShapes(t testing.TB, edit func(*latchkey.Config)) *latchkey.Verifier {
	return newVerifier(t, func(cfg *latchkey.Config) {
		for _, s := range shapes() {
			if s.profile != "cognito-id" {
				cfg.Issuers = append(cfg.Issuers, s.configured(t))
			}
		}
		if edit != nil {
			edit(cfg)
		}
	})
}

// TestProfiles holds each ready profile to a token as its issuer documents it,
// alone and beside all others.
func TestProfiles(t *testing.T) {
	var seen []string
	for _, s := range shapes() {
		seen = append(seen, s.profile)
		t.Run(s.profile, func(t *testing.T) {
			alone, err := latchkey.New(latchkey.Config{Issuers: []latchkey.Issuer{s.configured(t)}, Leeway: -1, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			verifiers := map[string]*latchkey.Verifier{"alone": alone}
			if s.profile != "cognito-id" {
				verifiers["beside all others"] = allShapes(t, nil)
			}
			for name, v := range verifiers {
				for range 2 { // the second time from the cache
					c, err := verify(v, s.token(""))
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if c.Principal() != s.profile+"|"+s.principal || c.Subject != s.principal || c.IssuerName != s.profile {
						t.Errorf("%s: principal %q, subject %q, issuer %q", name, c.Principal(), c.Subject, c.IssuerName)
					}
					if c.Scope != s.scope {
						t.Errorf("%s: scope %q, want %q", name, c.Scope, s.scope)
					}
				}
				for _, r := range s.refused {
					wantCheck(t, v, name+": "+r.name, s.token(r.header, r.change...), r.check)
				}
				wantCheck(t, v, name+": expired", s.token("", "exp", "1799999999"), latchkey.CheckExpiry)
				wantCheck(t, v, name+": no exp", s.token("", "exp", ""), latchkey.CheckExpiry)
				wantCheck(t, v, name+": no iat", s.token("", "iat", ""), latchkey.CheckIssuedAt)
				wantCheck(t, v, name+": iss in capitals", s.token("", "iss", strings.ToUpper(`"`+s.issuer.URL+`"`)), latchkey.CheckIssuer)
				wantCheck(t, v, name+": an empty subject", s.token("", "sub", `""`, "uid", `""`), latchkey.CheckSubject)
				wantCheck(t, v, name+": a subject with a line break", s.token("", "sub", `"a\r\nb"`, "uid", `"a\r\nb"`), latchkey.CheckSubject)
			}
		})
	}
	if !slices.Equal(seen, latchkey.ProfileNames()) {
		t.Errorf("there are shapes of %q, and profiles %q", seen, latchkey.ProfileNames())
	}
}

func wantCheck(t *testing.T, v *latchkey.Verifier, name, token string, check latchkey.Check) {
	t.Helper()
	c, err := verify(v, token)
	var refusal *latchkey.TokenError
	if !errors.As(err, &refusal) || refusal.Check != check {
		t.Errorf("%s: got %v, want a failure of the check %q", name, err, check)
	}
	if c.Principal() != "" || c.Payload() != "" {
		t.Errorf("%s: claims came with the refusal", name)
	}
}

// TestServicesOfOkta have no uid: their client is the subject.
func TestServicesOfOkta(t *testing.T) {
	for _, s := range shapes() {
		if s.profile != "okta" {
			continue
		}
		c, err := verify(allShapes(t, nil), s.token("", "uid", "", "sub", `"0oaabc"`))
		if err != nil || c.Principal() != "okta|0oaabc" {
			t.Errorf("the principal is %q, %v", c.Principal(), err)
		}
	}
}

// TestProfilesAreYours: what a program changes of a profile changes nothing for
// others.
func TestProfilesAreYours(t *testing.T) {
	for _, name := range latchkey.ProfileNames() {
		p, _ := latchkey.ProfileNamed(name)
		for i := range p.Types {
			p.Types[i] = "x"
		}
		for i := range p.Mark {
			p.Mark[i].Claim[0] = "x"
		}
		for i := range p.Scopes {
			p.Scopes[i][0] = "x"
		}
		again, _ := latchkey.ProfileNamed(name)
		if slices.Contains(again.Types, "x") || len(again.Mark) > 0 && again.Mark[0].Claim[0] == "x" || len(again.Scopes) > 0 && again.Scopes[0][0] == "x" {
			t.Errorf("%s: a change reached the next profile", name)
		}
	}
	if _, ok := latchkey.ProfileNamed("Auth0"); ok {
		t.Error("a profile is found by another spelling")
	}
}
