package apidoc

import "strings"

// openAPI reads the paths of a document of OpenAPI 3 or Swagger 2. authorizer is that of
// operations that name none; a template can have one.
func (r *reader) openAPI(doc value, authorizer string) {
	schemes := r.schemes(doc)
	byDefault := r.security(doc.get("security"), schemes)
	if !doc.get("security").present() {
		byDefault = need{authorizer: authorizer}
	}
	base := ""
	if text, ok := doc.get("basePath").text(); ok {
		base = strings.TrimSuffix(text, "/") // Swagger 2; API Gateway ignores it unless it is told not to
	}
	if base != "" && base != "/" {
		r.unread(doc.get("basePath").line(), "basePath %s: API Gateway leaves it out unless it is told to prepend it; the paths stand without it", base)
	}
	doc.get("paths").each(func(path string, item value) {
		if ref := item.get("$ref"); ref.present() {
			r.unread(item.line(), "path %s: $ref", path)
			return
		}
		if !strings.HasPrefix(path, "/") {
			if !strings.HasPrefix(path, "x-") {
				r.unread(item.line(), "path %q", path)
			}
			return
		}
		item.each(func(method string, op value) {
			if !operations[method] {
				return
			}
			needs := byDefault
			if security := op.get("security"); security.present() {
				needs = r.security(security, schemes)
			}
			r.add(Route{Verb: method, Path: path, Authorizer: needs.authorizer, Scopes: needs.scopes,
				To: op.in("x-amazon-apigateway-integration", "uri").ref(), Line: op.line()})
		})
	})
}

// operations are the members of a path that are methods. TRACE is none of API Gateway's.
var operations = map[string]bool{"get": true, "head": true, "post": true, "put": true, "patch": true, "delete": true, "options": true,
	"x-amazon-apigateway-any-method": true}

// need is what an operation wants of its caller.
type need struct {
	authorizer string
	scopes     []string
}

// schemes are the security schemes, by name, and whether API Gateway asks an authorizer by
// them. An API key is none: API Gateway counts by it.
func (r *reader) schemes(doc value) map[string]string {
	found := make(map[string]string)
	for _, schemes := range []value{doc.in("components", "securitySchemes"), doc.get("securityDefinitions")} {
		schemes.each(func(name string, s value) {
			kind, _ := s.get("x-amazon-apigateway-authtype").text()
			switch typ, _ := s.get("type").text(); {
			case kind == "awsSigv4":
				found[name] = IAM
			case s.get("x-amazon-apigateway-authorizer").present(), kind != "", typ == "oauth2", typ == "http", typ == "openIdConnect":
				found[name] = name
			}
		})
	}
	return found
}

// security reads the list of what is enough; each element's members are needed together.
// An empty element means that nothing is needed.
func (r *reader) security(list value, schemes map[string]string) need {
	var n need
	for _, alternative := range list.items() {
		one := need{}
		alternative.each(func(name string, scopes value) {
			if schemes[name] != "" {
				one = need{schemes[name], scopes.texts()}
			}
		})
		if one.authorizer == "" {
			return need{}
		}
		if n.authorizer == "" {
			n = one
		}
	}
	return n
}
