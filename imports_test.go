package latchkey_test

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/latchkey-auth/latchkey"

// floors says which packages of the house each package may import: lower floors
// only, and adapters never each other. docs/design.md draws it.
var floors = map[string][]string{
	// Floor 0
	".":                                {"internal/strictjson"},
	"httpauth":                         {".", "internal/bearer", "internal/fetch", "internal/http1"},
	"jwks":                             {".", "internal/fetch", "internal/http1", "internal/strictjson"},
	"revocation":                       {"."},
	"revocation/feed":                  {".", "internal/fetch", "revocation"},
	"internal/awsaccess":               {},
	"internal/awstest":                 {},
	"internal/bearer":                  {},
	"internal/cors":                    {},
	"internal/costtest":                {},
	"internal/fetch":                   {"internal/http1"},
	"internal/http1":                   {},
	"internal/identifier":              {},
	"internal/limit":                   {},
	"internal/opaque":                  {},
	"internal/outbox":                  {},
	"internal/password":                {"internal/password/passhash"},
	"internal/password/leaked":         {"internal/password/leaked/wordset"},
	"internal/password/leaked/gen":     {"internal/password/leaked/wordset"},
	"internal/password/leaked/wordset": {},
	"internal/password/passhash":       {},
	"internal/pgtest":                  {},
	"internal/redact":                  {},
	"internal/servetest":               {"internal/trial"},
	"internal/setting":                 {},
	"internal/storecheck":              {},
	"internal/strictjson":              {},
	"internal/textfile":                {},
	"internal/suggest":                 {},
	"internal/trial":                   {},
	"internal/weaksecret":              {},
	// Floor 1
	"internal/storage": {"internal/identifier", "internal/outbox"},
	// What auth is put together from. These stand on storage, and none sees another.
	"internal/attempt":      {"internal/identifier", "internal/limit", "internal/storage"},
	"internal/audit":        {"internal/storage"},
	"internal/message":      {"internal/outbox", "internal/storage"},
	"internal/outage":       {"internal/limit", "internal/storage"},
	"internal/refreshtoken": {"internal/opaque", "internal/storage"},
	"internal/rights":       {"internal/identifier", "internal/storage", "internal/strictjson"},
	"internal/ticket":       {"internal/opaque", "internal/storage"},
	"internal/auth":         {".", "revocation", "internal/attempt", "internal/audit", "internal/identifier", "internal/limit", "internal/message", "internal/opaque", "internal/outage", "internal/password", "internal/refreshtoken", "internal/rights", "internal/storage", "internal/ticket"},
	"internal/gateway":      {".", "internal/bearer", "internal/strictjson"},
	"internal/issuers":      {".", "internal/strictjson"},
	"internal/keyring":      {".", "internal/strictjson"},
	// transfer stands on storage and keyring, and stores on it. None of them sees auth.
	"internal/transfer": {"internal/keyring", "internal/limit", "internal/outbox", "internal/storage"},
	// What judges every store, by the ports that a whole one has.
	"internal/storage/storetest": {"internal/identifier", "internal/keyring", "internal/limit", "internal/outbox", "internal/storage", "internal/transfer"},
	// Floor 2
	"internal/sqlstore":         {"internal/identifier", "internal/keyring", "internal/limit", "internal/outbox", "internal/storage", "internal/storecheck", "internal/transfer"},
	"internal/dynamo":           {".", "internal/awsaccess", "internal/identifier", "internal/keyring", "internal/limit", "internal/outbox", "internal/storage", "internal/storecheck", "internal/transfer"},
	"internal/hashworker":       {"internal/password/passhash"},
	"internal/userimport":       {"internal/auth", "internal/identifier", "internal/password/passhash", "internal/storage", "internal/strictjson"},
	"internal/mailer":           {"internal/awsaccess", "internal/message", "internal/outbox", "internal/textfile"},
	"internal/masterkey":        {"internal/awsaccess", "internal/keyring"},
	"internal/web":              {".", "httpauth", "internal/auth", "internal/cors", "internal/identifier", "internal/opaque", "internal/password", "internal/redact", "internal/storage", "internal/strictjson", "internal/ticket"},
	"internal/web/contract":     {"internal/strictjson", "internal/web"},
	"internal/gateway/proxy":    {"internal/gateway"},
	"internal/forwardauth":      {".", "httpauth", "internal/gateway"},
	"internal/apidoc":           {"internal/gateway"},
	"internal/offline":          {"internal/cors", "internal/gateway", "internal/gateway/proxy", "internal/redact", "internal/suggest"},
	"internal/stacktest":        {"internal/gateway"},
	"internal/iamtest":          {"internal/gateway"},
	"internal/issuers/remote":   {".", "internal/issuers", "jwks"},
	"internal/revocationsource": {".", "internal/fetch", "revocation", "revocation/feed"},
	"internal/awslambda":        {".", "revocation", "internal/gateway", "internal/http1", "internal/issuers", "internal/setting", "internal/strictjson", "internal/textfile", "internal/weaksecret"},
	"latchkeytest":              {"."},
	// Floor 3
	"internal/app": {".", "revocation", "internal/attempt", "internal/auth", "internal/awsaccess", "internal/awslambda", "internal/dynamo", "internal/forwardauth", "internal/gateway", "internal/gateway/proxy", "internal/hashworker", "internal/issuers", "internal/issuers/remote", "internal/keyring", "internal/limit",
		"internal/mailer", "internal/masterkey", "internal/message", "internal/offline", "internal/outbox", "internal/password", "internal/password/leaked", "internal/password/passhash", "internal/redact", "internal/rights", "internal/sqlstore", "internal/storage", "internal/storecheck", "internal/textfile", "internal/transfer", "internal/weaksecret", "internal/web"},
	"internal/app/apptest": {"internal/app", "internal/password/passhash", "internal/servetest"},
	// Floor 4
	"internal/lambdazip": {},
	"cmd/authorizer":     {"internal/awslambda", "internal/gateway", "internal/issuers", "internal/issuers/remote", "internal/revocationsource"},
	"cmd/latchkey": {".", "revocation", "internal/apidoc", "internal/app", "internal/auth", "internal/awslambda", "internal/forwardauth", "internal/gateway", "internal/hashworker", "internal/issuers", "internal/issuers/remote", "internal/keyring",
		"internal/offline", "internal/password", "internal/password/passhash", "internal/revocationsource", "internal/rights", "internal/setting", "internal/sqlstore", "internal/storage", "internal/storecheck", "internal/suggest", "internal/textfile", "internal/transfer", "internal/userimport", "internal/web"},
}

// standardOnly are the packages that other people's programs and the lean
// bootstrap are built from, and small ones that need nothing else.
var standardOnly = []string{".", "httpauth", "jwks", "latchkeytest", "revocation", "revocation/feed", "internal/fetch", "internal/http1", "internal/limit", "internal/opaque", "internal/outbox", "internal/strictjson", "internal/weaksecret", "internal/gateway", "internal/awslambda", "internal/revocationsource", "internal/issuers", "internal/issuers/remote", "cmd/authorizer"}

func TestImportsGoDownward(t *testing.T) {
	for dir, imports := range houseImports(t) {
		allowed, known := floors[dir]
		if !known {
			t.Errorf("%s stands on no floor; add it to the table", dir)
		}
		for _, imported := range imports {
			own, inside := strings.CutPrefix(imported, module)
			own = cmp.Or(strings.TrimPrefix(own, "/"), ".")
			if inside && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s", dir, own)
			}
			first, _, _ := strings.Cut(imported, "/")
			if !inside && strings.Contains(first, ".") && slices.Contains(standardOnly, dir) {
				t.Errorf("%s imports %s, which is not of the standard library", dir, imported)
			}
			if (dir == "." || dir == "revocation") && imported == "net/http" { // encoding/json comes with log/slog anyway
				t.Errorf("%s imports %s, which the lean bootstrap would pay for", dir, imported)
			}
		}
	}
}

// houseImports returns what each package imports outside its tests.
func houseImports(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(name))
		all[dir] = append(all[dir], []string{}...)
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all[dir] = append(all[dir], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestVerifierNeedsNoNetwork: what a verifier of static keys links.
func TestVerifierNeedsNoNetwork(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module) {
		t.Fatalf("go list says %q", out)
	}
	for _, dep := range deps {
		first, _, _ := strings.Cut(dep, "/")
		if dep == "net" || dep == "net/http" || dep == "crypto/tls" || strings.Contains(first, ".") && !strings.HasPrefix(dep, module) {
			t.Errorf("the root package links %s", dep)
		}
	}
}

// TestAuthorizerIsLean names what would make every cold start slower.
func TestAuthorizerIsLean(t *testing.T) {
	heavy := []string{"net/http", "database/sql", "modernc.org/sqlite", "go.yaml.in/yaml/v3",
		"github.com/alecthomas/kong", "github.com/aws/aws-sdk-go-v2/aws", "github.com/jackc/pgx/v5", "golang.org/x/crypto/argon2", module + "/internal/auth"}
	for tags, heavy := range map[string][]string{"remote": heavy, "": append(heavy, "net", "crypto/tls", "crypto/x509")} {
		out, err := exec.Command("go", "list", "-tags", tags, "-deps", "./cmd/authorizer").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range heavy {
			if slices.Contains(strings.Fields(string(out)), dep) {
				t.Errorf("cmd/authorizer with the tags %q links %s", tags, dep)
			}
		}
	}
}
