package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/setting"
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
// secrets are not among them.
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
