package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

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
	url     *regexp.Regexp
	profile string
}{
	{regexp.MustCompile(`^https://cognito-idp\.[^/]+\.amazonaws\.com(\.cn)?/`), "cognito"},
	{regexp.MustCompile(`^https://[^/]+\.auth0\.com/`), "auth0"},
	{regexp.MustCompile(`^https://[^/]+\.(okta|oktapreview|okta-emea)\.com/`), "okta"},
	{regexp.MustCompile(`^https://login\.microsoftonline\.com/[^/]+/v2\.0$`), "entra"},
	{regexp.MustCompile(`^https://sts\.windows\.net/`), "entra-v1"},
	{regexp.MustCompile(`^https://accounts\.google\.com$`), "google"},
	{regexp.MustCompile(`^https://securetoken\.google\.com/`), "firebase"},
	{regexp.MustCompile(`^https://[^/]+\.supabase\.co/auth/v1$`), "supabase"},
	{regexp.MustCompile(`^https://[^/]+\.clerk\.accounts\.dev$`), "clerk"},
	{regexp.MustCompile(`^https://token\.actions\.githubusercontent\.com$`), "github-actions"},
	{regexp.MustCompile(`^https?://[^/]+(/auth)?/realms/[^/]+$`), "keycloak"},
}

func guessProfile(issuer string) string {
	for _, known := range profileHosts {
		if known.url.MatchString(issuer) {
			return known.profile
		}
	}
	return "rfc9068"
}

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

type issuerRemoveCmd struct {
	Name string `arg:"" help:"Its name in the configuration file."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

func (c *issuerRemoveCmd) Run(p *process) error {
	if issuers.Find(p.config.issuers, c.Name) < 0 {
		return usagef("there is no issuer %q in %s%s", c.Name, cmp.Or(p.config.path, defaultConfig), knownMembers(c.Name, issuers.Names(p.config.issuers, false)))
	}
	changed, err := replaceEntry(p.config.doc, c.Name, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", p.config.path, err)
	}
	if err := p.config.onlyIssuer(p.config.path, changed, c.Name); err != nil {
		return err
	}
	if err := p.confirm(c.Yes, "take "+c.Name+" out of "+p.config.path+"? Its tokens are refused from then on."); err != nil {
		return err
	}
	if err := os.WriteFile(p.config.path, changed, 0o644); err != nil {
		return fmt.Errorf("writing the configuration file: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s has no issuer %s any more\n", p.config.path, c.Name)
	return nil
}

// replaceEntry puts an issuer into the file's text in the place of the one that is called
// like it, at the end where there is none, or takes that one out. All other text stays as
// it is, comments included.
func replaceEntry(doc []byte, name string, with *yamlIssuer) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return nil, plainYAML(err)
	}
	lines := bytes.SplitAfter(doc, []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	} else {
		lines[n-1] = append(slices.Clip(lines[n-1]), '\n')
	}
	var at int
	end, indent := len(lines), 2
	list, next := issuersNode(&root)
	switch {
	case list == nil && with == nil:
		return doc, nil
	case list == nil:
		lines = append(lines, []byte("issuers:\n"))
		at, end = len(lines), len(lines)
	case list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || len(list.Content) == 0:
		return nil, errors.New("issuers is no list with a line of its own for each: write it like that first")
	default:
		indent = list.Column - 1
		if next > 0 {
			end = next - 1
		}
		at = entryEnd(lines, list.Content[len(list.Content)-1].Line, end, indent)
		end = at
		for n, entry := range list.Content {
			if nodeMember(entry, "name") != name {
				continue
			}
			at = entry.Line - 1
			if n+1 < len(list.Content) {
				end = commentAbove(lines, list.Content[n+1].Line-1, at)
			}
		}
		if with == nil && len(list.Content) == 1 {
			at = list.Line - 1
			for at > 0 && !bytes.HasPrefix(lines[at], []byte("issuers:")) {
				at--
			}
		}
	}
	var text []byte
	if with != nil {
		var err error
		if text, err = entryText(with, indent); err != nil {
			return nil, err
		}
	}
	return bytes.Join(slices.Concat(lines[:at], [][]byte{text}, lines[end:]), nil), nil
}

// onlyIssuer makes sure that a changed file says the same as before, but for the issuer.
func (c fileConfig) onlyIssuer(file string, changed []byte, name string) error {
	next, err := decodeConfig(file, changed)
	if err != nil {
		return err
	}
	others := func(list []issuers.Issuer) []issuers.Issuer {
		return slices.DeleteFunc(slices.Clone(list), func(i issuers.Issuer) bool { return i.Name == name })
	}
	a, b := others(c.issuers), others(next.issuers)
	if len(a)+len(b) > 0 && !reflect.DeepEqual(a, b) || !reflect.DeepEqual(c.routes, next.routes) || len(c.settings) != len(next.settings) {
		return fmt.Errorf("%s is laid out in a way that cannot be changed safely: edit it by hand, and see `latchkey issuer list`", file)
	}
	return nil
}

// issuersNode finds the list, and the line of the member after it.
func issuersNode(root *yaml.Node) (list *yaml.Node, next int) {
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, 0
	}
	members := root.Content[0].Content
	for i := 0; i+1 < len(members); i += 2 {
		if members[i].Value == "issuers" {
			if i+2 < len(members) {
				next = members[i+2].Line
			}
			return members[i+1], next
		}
	}
	return nil, 0
}

func nodeMember(node *yaml.Node, name string) string {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1].Value
		}
	}
	return ""
}

// entryEnd is where the last entry ends: before the first line that is indented no more
// than the list, and the empty ones above that.
func entryEnd(lines [][]byte, first, end, indent int) int {
	last := first
	for n := first; n < end; n++ {
		text := bytes.TrimLeft(lines[n], " ")
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if len(lines[n])-len(text) <= indent {
			break
		}
		last = n + 1
	}
	return last
}

// commentAbove is where the comment of the entry at a line begins.
func commentAbove(lines [][]byte, line, after int) int {
	for line-1 > after && bytes.HasPrefix(bytes.TrimSpace(lines[line-1]), []byte("#")) {
		line--
	}
	return line
}

func entryText(y *yamlIssuer, indent int) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	var node yaml.Node
	if err := node.Encode(y); err != nil {
		return nil, err
	}
	for _, value := range node.Content {
		if value.Kind == yaml.SequenceNode {
			value.Style = yaml.FlowStyle
		}
	}
	if err := e.Encode(&node); err != nil {
		return nil, err
	}
	var out []byte
	for n, line := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		out = fmt.Appendf(out, "%s%s%s\n", strings.Repeat(" ", indent), []string{"- ", "  "}[min(n, 1)], line)
	}
	return out, nil
}
