package apidoc

import "strings"

// serverless reads a configuration of the Serverless Framework.
func (r *reader) serverless(doc value) {
	for _, functions := range append(doc.get("functions").items(), doc.get("functions")) {
		if text, ok := functions.text(); ok {
			r.unread(functions.line(), "functions: %s", text)
		}
		functions.each(func(name string, f value) { r.serverlessFunction(name, f) })
	}
	if resources := doc.get("resources"); resources.present() {
		for _, part := range append(resources.items(), resources) {
			if part.get("Resources").isMap() {
				r.template(part)
			}
		}
	}
}

func (r *reader) serverlessFunction(name string, f value) {
	if text, ok := f.text(); ok {
		r.unread(f.line(), "function %s: %s", name, text)
		return
	}
	if url := f.get("url"); url.present() {
		if auth, _ := url.get("authorizer").text(); auth != "aws_iam" {
			r.unread(url.line(), "the function URL of %s is open: the API's authorizer is not asked", name)
		}
	}
	events := f.get("events")
	if text, ok := events.text(); ok {
		r.unread(events.line(), "events of function %s: %s", name, text)
	}
	for _, event := range events.items() {
		if text, ok := event.text(); ok {
			r.unread(event.line(), "event of function %s: %s", name, text)
			continue
		}
		event.each(func(kind string, e value) {
			switch kind {
			case "http", "httpApi":
				r.serverlessEvent(name, e)
			}
		})
	}
}

// serverlessEvent reads "GET /orders", or its method, path and authorizer.
func (r *reader) serverlessEvent(function string, e value) {
	route := Route{To: function, Line: e.line()}
	short, isShort := e.text()
	switch {
	case isShort && short == "*":
		r.unread(e.line(), "httpApi %q of function %s is $default, the route of everything else: no policy has it", short, function)
		return
	case isShort:
		var ok bool
		if route.Verb, route.Path, ok = strings.Cut(short, " "); !ok {
			r.unread(e.line(), "event of function %s: %s", function, short)
			return
		}
	default:
		var hasPath, hasMethod bool
		route.Path, hasPath = e.get("path").text()
		route.Verb, hasMethod = e.get("method").text()
		if !hasPath || !hasMethod {
			r.unread(e.line(), "path and method of an event of function %s", function)
			return
		}
		route.Authorizer = serverlessAuthorizer(e.get("authorizer"))
		route.Scopes = e.in("authorizer", "scopes").texts()
	}
	if strings.Contains(route.Path+route.Verb, "${") {
		r.unread(e.line(), "event of function %s: %s %s", function, route.Verb, route.Path)
		return
	}
	r.add(route)
}

// serverlessAuthorizer is a name, or an object with one. Any other text is an authorizer
// too: a route must not count as open because of a spelling that is not known here.
func serverlessAuthorizer(a value) string {
	if text, ok := a.text(); ok {
		switch strings.ToLower(text) {
		case "aws_iam":
			return IAM
		case "none":
			return ""
		}
		return text
	}
	if !a.present() {
		return ""
	}
	for _, name := range []string{"name", "id", "authorizerId", "arn", "type"} {
		if text, ok := a.get(name).text(); ok {
			if strings.EqualFold(text, "aws_iam") {
				return IAM
			}
			return text
		}
		if ref := a.get(name).ref(); ref != "" {
			return ref
		}
	}
	return "authorizer"
}
