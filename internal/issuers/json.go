package issuers

import (
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// version is the "version" of issuers.json.
const version = 1

// Parse reads issuers.json, which `latchkey issuer compile` writes.
func Parse(doc []byte) ([]Issuer, error) {
	var list []Issuer
	found := int64(0)
	err := strictjson.Object(string(doc), func(name string, v strictjson.Value) error {
		switch name {
		case "version":
			found, _ = v.Int()
			return nil
		case "issuers":
			return v.Elements(func(v strictjson.Value) error {
				i, err := parseIssuer(v)
				if err != nil {
					return fmt.Errorf("issuer %.40q: %w", i.Name, err)
				}
				list = append(list, i)
				return nil
			})
		}
		return unknownMember(name)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("parsing issuers: %w", err)
	case found != version:
		return nil, fmt.Errorf("parsing issuers: version %d: must be %d; compile them again with this program", found, version)
	}
	if err := Check(list); err != nil {
		return nil, fmt.Errorf("parsing issuers: %w", err)
	}
	return list, nil
}

func unknownMember(name string) error { return fmt.Errorf("unknown member %q", name) }

func parseIssuer(v strictjson.Value) (Issuer, error) {
	var i Issuer
	texts := map[string]*string{"name": &i.Name, "url": &i.URL, "profile": &i.Profile, "audience_claim": &i.AudienceClaim, "jwks_uri": &i.JWKSURI}
	lists := map[string]*[]string{"audiences": &i.Audiences, "scopes": &i.Scopes}
	switches := map[string]*bool{"pinned": &i.Pinned, "allow_private": &i.AllowPrivate}
	err := v.Object(func(name string, v strictjson.Value) (err error) {
		ok := true
		switch {
		case texts[name] != nil:
			*texts[name], ok = v.Text()
		case lists[name] != nil:
			*lists[name], err = parseTexts(v)
		case switches[name] != nil:
			*switches[name], ok = v.Bool()
		case name == "require":
			i.Require, err = parseEach(v, parseMatch)
		case name == "scope_claims":
			i.ScopeClaims, err = parseEach(v, func(v strictjson.Value) (latchkey.ClaimPath, error) { return parseTexts(v) })
		case name == "jwks":
			i.JWKS, ok = []byte(v.Raw()), v.Kind() == strictjson.Members
		default:
			return unknownMember(name)
		}
		if !ok {
			err = errors.New("has the wrong type")
		}
		if err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
		return nil
	})
	return i, err
}

func parseMatch(v strictjson.Value) (latchkey.Match, error) {
	var m latchkey.Match
	err := v.Object(func(name string, v strictjson.Value) (err error) {
		switch name {
		case "claim":
			m.Claim, err = parseTexts(v)
		case "values":
			m.Values, err = parseTexts(v)
		default:
			err = unknownMember(name)
		}
		return err
	})
	return m, err
}

func parseEach[T any](v strictjson.Value, parse func(strictjson.Value) (T, error)) (all []T, err error) {
	err = v.Elements(func(v strictjson.Value) error {
		one, err := parse(v)
		all = append(all, one)
		return err
	})
	return all, err
}

func parseTexts(v strictjson.Value) ([]string, error) {
	return parseEach(v, func(v strictjson.Value) (string, error) {
		text, ok := v.Text()
		if !ok {
			return "", errors.New("must hold texts")
		}
		return text, nil
	})
}

// JSON writes the issuers as Parse reads them.
func JSON(list []Issuer) []byte {
	doc := fmt.Appendf(nil, "{\n  \"version\": %d,\n  \"issuers\": [", version)
	for n, i := range list {
		if n > 0 {
			doc = append(doc, ',')
		}
		doc = append(i.append(append(doc, "\n    {"...)), "\n    }"...)
	}
	return append(doc, "\n  ]\n}\n"...)
}

func (i Issuer) append(doc []byte) []byte {
	first := true
	member := func(name string) {
		if !first {
			doc = append(doc, ',')
		}
		first = false
		doc = append(strictjson.AppendString(append(doc, "\n      "...), name), ": "...)
	}
	text := func(name, value string) {
		if value != "" {
			member(name)
			doc = strictjson.AppendString(doc, value)
		}
	}
	text("name", i.Name)
	text("url", i.URL)
	text("profile", i.Profile)
	member("audiences")
	doc = appendTexts(doc, i.Audiences)
	text("audience_claim", i.AudienceClaim)
	if len(i.Scopes) > 0 {
		member("scopes")
		doc = appendTexts(doc, i.Scopes)
	}
	if len(i.ScopeClaims) > 0 {
		member("scope_claims")
		doc = appendEach(doc, i.ScopeClaims, func(doc []byte, path latchkey.ClaimPath) []byte { return appendTexts(doc, path) })
	}
	if len(i.Require) > 0 {
		member("require")
		doc = appendEach(doc, i.Require, appendMatch)
	}
	text("jwks_uri", i.JWKSURI)
	if i.AllowPrivate {
		member("allow_private")
		doc = append(doc, "true"...)
	}
	if i.Pinned {
		member("pinned")
		doc = append(doc, "true"...)
	}
	if i.JWKS != nil {
		member("jwks")
		doc = append(doc, i.JWKS...)
	}
	return doc
}

func appendMatch(doc []byte, m latchkey.Match) []byte {
	doc = appendTexts(append(doc, `{"claim": `...), m.Claim)
	if len(m.Values) > 0 {
		doc = appendTexts(append(doc, `, "values": `...), m.Values)
	}
	return append(doc, '}')
}

func appendEach[T any](doc []byte, all []T, each func([]byte, T) []byte) []byte {
	doc = append(doc, '[')
	for n, one := range all {
		if n > 0 {
			doc = append(doc, ", "...)
		}
		doc = each(doc, one)
	}
	return append(doc, ']')
}

func appendTexts(doc []byte, texts []string) []byte {
	return appendEach(doc, texts, strictjson.AppendString)
}
