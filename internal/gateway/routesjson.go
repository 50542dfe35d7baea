package gateway

import (
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// tableVersion is the "version" of routes.json.
const tableVersion = 1

// ParseTable reads routes.json, which `latchkey routes compile` writes.
func ParseTable(doc []byte) (*Table, error) {
	var routes []Route
	version := int64(0)
	err := strictjson.Object(string(doc), func(name string, v strictjson.Value) error {
		switch name {
		case "version":
			version, _ = v.Int()
			return nil
		case "routes":
			return v.Elements(func(v strictjson.Value) error {
				r, err := parseRouteJSON(v)
				routes = append(routes, r)
				return err
			})
		}
		return fmt.Errorf("unknown member %q", name)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("parsing route table: %w", err)
	case version != tableVersion:
		return nil, fmt.Errorf("parsing route table: version %d: must be %d; compile it again with this program", version, tableVersion)
	}
	return NewTable(routes)
}

func parseRouteJSON(v strictjson.Value) (Route, error) {
	var r Route
	err := strictjson.Object(v.Raw(), func(name string, v strictjson.Value) (err error) {
		ok := true
		switch name {
		case "route":
			var text string
			if text, ok = v.Text(); ok {
				r.Method, r.Path, err = parseOneVerb(text)
			}
		case "public":
			r.Public, ok = v.Bool()
		case "to":
			r.To, ok = v.Text()
		case "scopes":
			if v.Kind() == strictjson.Members {
				r.AnyScope = true
				r.Scopes, err = parseAnyScope(v)
				return err
			}
			r.Scopes, err = parseWords(name, v)
			return err
		case "issuers":
			r.Issuers, err = parseWords(name, v)
		case "acr":
			r.ACR, err = parseWords(name, v)
		case "amr":
			r.AMR, err = parseWords(name, v)
		case "max_auth_age":
			var seconds int64
			if seconds, ok = v.Int(); ok && (seconds < 1 || seconds > maxMaxAuthAge) {
				return fmt.Errorf("max_auth_age %d must be 1 to %d seconds", seconds, maxMaxAuthAge)
			}
			r.MaxAuthAge = time.Duration(seconds) * time.Second
		default:
			return fmt.Errorf("unknown member %q", name)
		}
		if !ok {
			return fmt.Errorf("member %q has the wrong type", name)
		}
		return err
	})
	return r, err
}

// parseOneVerb reads a route of routes.json, where each verb has a route of its own.
func parseOneVerb(s string) (method, path string, err error) {
	verbs, path, err := ParseRoute(s)
	if err == nil && len(verbs) > 1 {
		err = fmt.Errorf("route %q: must have one verb here", s)
	}
	if err != nil {
		return "", "", err
	}
	return verbs[0], path, nil
}

// maxMaxAuthAge is ten years in seconds: longer ago nobody signed in.
const maxMaxAuthAge = 10 * 365 * 24 * 60 * 60

// parseWords reads a list. It refuses an empty one, which would require nothing
// where the author wanted to require something.
func parseWords(name string, v strictjson.Value) (words []string, err error) {
	err = v.Elements(func(v strictjson.Value) error {
		word, ok := v.Text()
		if !ok {
			return fmt.Errorf("%s must be strings", name)
		}
		words = append(words, word)
		return nil
	})
	if err == nil && len(words) == 0 {
		err = fmt.Errorf("%s must be a list of one at least; leave it out to ask for none", name)
	}
	return words, err
}

// parseAnyScope reads {"any": ["a", "b"]}.
func parseAnyScope(v strictjson.Value) (scopes []string, err error) {
	err = strictjson.Object(v.Raw(), func(name string, v strictjson.Value) (err error) {
		if name != "any" {
			return fmt.Errorf("unknown member %q", name)
		}
		scopes, err = parseWords("scopes", v)
		return err
	})
	return scopes, err
}

// JSON returns the table as ParseTable reads it.
func (t *Table) JSON() []byte {
	doc := fmt.Appendf(nil, "{\n  \"version\": %d,\n  \"routes\": [", tableVersion)
	for i, e := range t.entries {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = strictjson.AppendString(append(doc, "\n    {\"route\": "...), e.String())
		if e.Public {
			doc = append(doc, `, "public": true`...)
		}
		if len(e.Scopes) > 0 {
			doc = appendScopes(append(doc, `, "scopes": `...), e.Route)
		}
		doc = appendWords(doc, "issuers", e.Issuers)
		doc = appendWords(doc, "acr", e.ACR)
		doc = appendWords(doc, "amr", e.AMR)
		if e.MaxAuthAge > 0 {
			doc = fmt.Appendf(doc, `, "max_auth_age": %d`, e.MaxAuthAge/time.Second)
		}
		doc = strictjson.AppendString(append(doc, `, "to": `...), e.To)
		doc = append(doc, '}')
	}
	return append(doc, "\n  ]\n}\n"...)
}

func appendScopes(doc []byte, r Route) []byte {
	if r.AnyScope {
		doc = append(doc, `{"any": `...)
	}
	doc = appendList(doc, r.Scopes)
	if r.AnyScope {
		doc = append(doc, '}')
	}
	return doc
}

func appendWords(doc []byte, name string, words []string) []byte {
	if len(words) == 0 {
		return doc
	}
	return appendList(fmt.Appendf(doc, `, "%s": `, name), words)
}

func appendList(doc []byte, words []string) []byte {
	for i, s := range words {
		doc = append(doc, [...]string{"[", ", "}[min(i, 1)]...)
		doc = strictjson.AppendString(doc, s)
	}
	return append(doc, ']')
}
