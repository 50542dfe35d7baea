package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/setting"
	"github.com/latchkey-auth/latchkey/internal/suggest"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

// defaultConfig is read when it is there and no other file is named.
const defaultConfig = "latchkey.yaml"

// fileConfig is latchkey.yaml: flags by their names, and what is too much for
// a flag.
type fileConfig struct {
	path      string // empty: there is no file
	named     string // where the file is looked for
	doc       []byte // as it is in the file
	settings  map[string]string
	routes    []gateway.Route  // nil: none are declared
	issuers   []issuers.Issuer // beside latchkey itself
	responses map[gateway.ResponseType]gateway.Response
}

// fileSettings are the flags that the file may set. Commands' own arguments and
// whatever is secret are not among them.
var fileSettings = []string{
	"addr", "store", "data", "public-url", "app-url", "issuer", "audience", "access-token-ttl", "signing-alg",
	"cors-origins", "cors-headers", "http2", "trusted-proxies", "log-level", "argon2", "limits", "authorizer-ttl", "master-key-file",
	"registration", "verify-email", "mail-from", "mail-helo", "mail-templates", "min-password", "breached-passwords",
	"session-idle", "session-lifetime", "event-retention", "base-path", "revocation-mode", "revocation-interval", "revocation-max-stale", "trailing-slash", "identity-sources", "forward-auth", "forward-auth-peers",
}

// configPath finds the file that the command line or the environment names.
// Kong cannot say: it wants the settings of the file while it parses.
func configPath(args []string) (path string, named bool) {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			return value, true
		}
		if arg == "--config" && i+1 < len(args) {
			return args[i+1], true
		}
	}
	if value := os.Getenv("LATCHKEY_CONFIG"); value != "" {
		return value, true
	}
	return defaultConfig, false
}

func loadConfig(args []string) (fileConfig, error) {
	path, named := configPath(args)
	c, err := readConfig(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return fileConfig{named: path}, nil
	}
	return c, err
}

func readConfig(path string) (fileConfig, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return fileConfig{}, fmt.Errorf("reading the configuration file: %w", err)
	}
	return decodeConfig(path, doc)
}

// decodeConfig reads the content of the file.
func decodeConfig(path string, doc []byte) (fileConfig, error) {
	text, err := textfile.Decode(doc)
	if err != nil {
		return fileConfig{}, fmt.Errorf("reading the configuration file: %s %w", path, err)
	}
	c, err := parseConfig(text)
	if err != nil {
		return fileConfig{}, fmt.Errorf("%s: %w", path, err)
	}
	c.path, c.named, c.doc = path, path, doc
	return c, nil
}

// yamlRoute and yamlResponse are how the file writes them.
type yamlRoute struct {
	Route  string    `yaml:"route"`
	Public bool      `yaml:"public"`
	Scopes yaml.Node `yaml:"scopes"`
	Roles  yaml.Node `yaml:"roles"`
	To     string    `yaml:"to"`

	Issuers    words         `yaml:"issuers"`
	ACR        words         `yaml:"acr"`
	AMR        words         `yaml:"amr"`
	MaxAuthAge time.Duration `yaml:"max_auth_age"`
}

// words are a list of texts, or one.
type words []string

func (w *words) UnmarshalYAML(node *yaml.Node) error {
	items := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		items = node.Content
	}
	for _, item := range items {
		if item.Kind != yaml.ScalarNode || item.Tag != "!!str" {
			return fmt.Errorf("line %d: must be text, or a list of texts; put a number into quotes", item.Line)
		}
		*w = append(*w, item.Value)
	}
	if len(*w) == 0 {
		return fmt.Errorf("line %d: must not be an empty list: leave it out to ask for nothing", node.Line)
	}
	return nil
}

// scopes reads a list, or {any: LIST}. It refuses what a slip of the pen would turn
// into "any signed-in user".
func (r yamlRoute) scopes() (scopes []string, anyOf bool, err error) {
	list := r.Scopes
	if list.IsZero() {
		return nil, false, nil
	}
	if list.Kind == yaml.MappingNode && len(list.Content) == 2 && slices.Contains([]string{"any", "all"}, list.Content[0].Value) {
		anyOf, list = list.Content[0].Value == "any", *list.Content[1]
	}
	if list.Kind == yaml.SequenceNode {
		for _, node := range list.Content {
			if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
				return nil, false, fmt.Errorf("line %d: route %s: a scope must be text; put it in quotes", node.Line, r.Route)
			}
			scopes = append(scopes, node.Value)
		}
	}
	if len(scopes) == 0 {
		return nil, false, fmt.Errorf("line %d: route %s: scopes must be a list of one at least, [orders:read], or {any: [orders:read, orders:admin]} where one of them is enough; leave scopes out to let any signed-in user call it", list.Line, r.Route)
	}
	return scopes, anyOf, nil
}

// routes are one for each verb.
func (r yamlRoute) routes(table rights.RoleTable) ([]gateway.Route, error) {
	verbs, path, err := gateway.ParseRoute(r.Route)
	if err != nil {
		return nil, err
	}
	needs := r.scopes
	if !r.Roles.IsZero() {
		needs = func() ([]string, bool, error) { return r.scopesOfRoles(table) }
	}
	scopes, anyOf, err := needs()
	if err != nil {
		return nil, err
	}
	routes := make([]gateway.Route, len(verbs))
	for i, verb := range verbs {
		routes[i] = gateway.Route{Method: verb, Path: path, Public: r.Public, Scopes: scopes, AnyScope: anyOf, Issuers: r.Issuers, To: r.To}
		routes[i].SignIn = gateway.SignIn{MaxAuthAge: r.MaxAuthAge, ACR: r.ACR, AMR: r.AMR}
	}
	return routes, nil
}

type yamlResponse struct {
	Status  int               `yaml:"status"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
}

func parseConfig(doc []byte) (fileConfig, error) {
	c := fileConfig{settings: make(map[string]string)}
	var file struct {
		Routes    []yamlRoute                           `yaml:"routes"`
		Issuers   []yamlIssuer                          `yaml:"issuers"`
		Responses map[gateway.ResponseType]yamlResponse `yaml:"gateway-responses"`
		Roles     yaml.Node                             `yaml:"roles"`
		Token     yamlToken                             `yaml:"token"`
		Settings  map[string]yaml.Node                  `yaml:",inline"`
	}
	d := yaml.NewDecoder(bytes.NewReader(doc))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return c, plainYAML(err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, errors.New("holds more than one document (---); keep one")
	}
	for name, node := range file.Settings {
		if !slices.Contains(fileSettings, name) {
			return c, fmt.Errorf("line %d: unknown setting %q%s", node.Line, name, knownMembers(name, append([]string{"routes", "issuers", "gateway-responses", "roles", "token"}, fileSettings...)))
		}
		value, err := settingText(&node)
		if err != nil {
			return c, fmt.Errorf("line %d: %s %w", node.Line, name, err)
		}
		if err := setting.Check(name, value); err != nil {
			return c, fmt.Errorf("line %d: %w", node.Line, err)
		}
		if err := checkStoreText(name, value); err != nil {
			return c, fmt.Errorf("line %d: %w", node.Line, err)
		}
		c.settings[name] = value
	}
	roles, err := c.setTables(file.Roles, file.Token)
	if err != nil {
		return c, err
	}
	for _, r := range file.Routes {
		routes, err := r.routes(roles)
		if err != nil {
			return c, err
		}
		c.routes = append(c.routes, routes...)
	}
	for _, i := range file.Issuers {
		one, err := i.issuer()
		if err != nil {
			return c, fmt.Errorf("issuer %q: %w", i.Name, err)
		}
		c.issuers = append(c.issuers, one)
	}
	if err := errors.Join(issuers.Check(c.issuers), c.checkIssuers()); err != nil {
		return c, err
	}
	overrides := make(map[gateway.ResponseType]gateway.Response)
	for t, r := range file.Responses {
		overrides[t] = gateway.Response{StatusCode: r.Status, Headers: r.Headers, Body: r.Body}
	}
	c.responses, err = gateway.OverrideResponses(overrides)
	return c, err
}

// plainYAML takes the names of our types out of the library's errors.
func plainYAML(err error) error {
	text := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
	text = strings.TrimPrefix(text, "unmarshal errors: ")
	text = unknownMember.ReplaceAllStringFunc(text, func(found string) string {
		m := unknownMember.FindStringSubmatch(found)
		return fmt.Sprintf("unknown member %q%s", m[1], knownMembers(m[1], yamlMembers[m[2]]))
	})
	return errors.New(yamlTypes.ReplaceAllString(text, ""))
}

// knownMembers says what was meant, or all that there is.
func knownMembers(name string, known []string) string {
	return cmp.Or(suggest.DidYouMean(name, known), "; known are "+strings.Join(known, ", "))
}

// yamlMembers are the members of our types in the file.
var yamlMembers = map[string][]string{
	"yamlRoute":    {"route", "public", "scopes", "roles", "issuers", "max_auth_age", "acr", "amr", "to"},
	"yamlResponse": {"status", "headers", "body"}, "yamlToken": {"claims", "username"}, "yamlIssuer": yamlIssuerMembers,
}

var unknownMember = regexp.MustCompile(`field (\S+) not found in type main\.(\w+)`)

var yamlTypes = regexp.MustCompile(` in type \S+| into main\.\S+`)

// settingText reads a scalar, or a list of scalars as the flag would take it.
func settingText(node *yaml.Node) (string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, nil
	case yaml.SequenceNode:
		var parts []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("must be a list of plain values")
			}
			parts = append(parts, item.Value)
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("must be a plain value or a list of them")
}

// resolver gives kong the settings of the file, under flags and environment:
// kong would put the file over the environment.
func (c fileConfig) resolver() kong.Resolver {
	var f kong.ResolverFunc = func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if os.Getenv(name) != "" {
				return nil, nil
			}
		}
		if value, ok := c.settings[flag.Name]; ok {
			if on, ok := switchWord(value); ok && flag.Enum == "on,off" {
				value = map[bool]string{true: "on", false: "off"}[on]
			}
			return value, nil
		}
		return nil, nil
	}
	return f
}

// unsetEmptyVariables makes an empty variable the same as none, as compose
// files and CI systems expect.
func unsetEmptyVariables() {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" && strings.HasPrefix(name, "LATCHKEY_") {
			os.Unsetenv(name)
		}
	}
}

// switchWord reads the words that YAML and people have for true and false.
func switchWord(text string) (on, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}

// switches reads flags that are true or false. Kong's own reader does not know the
// words on and off, which YAML has too.
type switches struct{}

const switchKind = reflect.Bool

func (switches) IsBool() bool { return true }

func (switches) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		target.SetBool(true)
		return nil
	}
	value := fmt.Sprint(ctx.Scan.Pop().Value)
	on, ok := switchWord(value)
	if !ok {
		return fmt.Errorf("must be true or false but got %q", value)
	}
	target.SetBool(on)
	return nil
}

// checkEnvironment refuses variables with what comes in by accident, see
// [setting.Check]. A key set may be laid out in lines.
func checkEnvironment() error {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		ours := strings.HasPrefix(name, "LATCHKEY_") || slices.Contains([]string{awslambda.EnvSecret, awslambda.EnvUntil, awslambda.EnvAppName, "CRYPTO_BYTE_SIZE"}, name)
		if !ours || name == awslambda.EnvJWKS {
			continue
		}
		if err := setting.Check(name, value); err != nil {
			return err
		}
	}
	if old, now := os.Getenv(envSMTPURL), os.Getenv(envMailURL); old != "" && now != "" && old != now {
		return errors.New("LATCHKEY_MAIL_URL and LATCHKEY_SMTP_URL, its old name, are both set and differ; unset the latter")
	}
	_, err := awslambda.AcceptUntil(os.Getenv(awslambda.EnvUntil), os.Getenv(awslambda.EnvSecret))
	return err
}

// checkFlags does the same for the settings on the command line.
func checkFlags(k *kong.Context) error {
	for _, step := range k.Path {
		if step.Flag == nil || step.Resolved {
			continue
		}
		if err := checkStoreText(step.Flag.Name, step.Flag.Target.String()); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	for _, flag := range k.Flags() {
		if len(flag.Envs) == 0 || flag.Target.Kind() != reflect.String {
			continue
		}
		if err := setting.Check("--"+flag.Name, flag.Target.String()); err != nil {
			return err
		}
	}
	return nil
}
