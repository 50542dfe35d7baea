package apidoc

import "strings"

// template reads a SAM or CloudFormation template.
func (r *reader) template(doc value) {
	t := template{r, doc, doc.get("Resources")}
	t.resources.each(func(name string, resource value) {
		properties := resource.get("Properties")
		switch typ, _ := resource.get("Type").text(); typ {
		case "AWS::Serverless::Function":
			t.function(name, properties)
		case "AWS::Serverless::StateMachine":
			t.events(name, properties.get("Events"))
		case "AWS::Serverless::Api":
			t.body(name, properties, properties.get("DefinitionBody"), t.defaultAuthorizer("Api", properties))
		case "AWS::Serverless::HttpApi":
			t.body(name, properties, properties.get("DefinitionBody"), t.defaultAuthorizer("HttpApi", properties))
		case "AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api":
			t.body(name, properties, properties.get("Body"), "")
		case "AWS::ApiGateway::Method":
			t.method(name, properties)
		case "AWS::ApiGatewayV2::Route":
			t.route(name, properties)
		}
	})
}

type template struct {
	*reader
	doc, resources value
}

// body reads an API that a document makes.
func (t template) body(name string, properties, body value, authorizer string) {
	for _, elsewhere := range []string{"DefinitionUri", "BodyS3Location"} {
		if properties.get(elsewhere).present() {
			t.unread(properties.get(elsewhere).line(), "%s of %s: check that document by itself", elsewhere, name)
		}
	}
	if !body.present() {
		return
	}
	if !body.get("paths").isMap() {
		t.unread(body.line(), "the body of %s: no paths that can be read here", name)
		return
	}
	t.openAPI(body, authorizer)
}

// defaultAuthorizer is that of an API's routes that name none.
func (t template) defaultAuthorizer(kind string, api value) string {
	for _, auth := range []value{api.get("Auth"), t.doc.in("Globals", kind, "Auth")} {
		if name, ok := auth.get("DefaultAuthorizer").text(); ok {
			return name
		}
		if enabled, _ := auth.get("EnableIamAuthorizer").text(); enabled == "true" && kind == "Api" && auth.get("DefaultAuthorizer").present() {
			return IAM
		}
	}
	return ""
}

func (t template) function(name string, properties value) {
	t.events(name, properties.get("Events"))
	if url := properties.get("FunctionUrlConfig"); url.present() {
		if auth, _ := url.get("AuthType").text(); auth == "NONE" {
			t.unread(url.line(), "the function URL of %s is open: the API's authorizer is not asked", name)
		}
	}
}

// events reads those of a function that are routes.
func (t template) events(function string, events value) {
	if events.present() && !events.isMap() {
		t.unread(events.line(), "events of %s", function)
		return
	}
	events.each(func(name string, event value) {
		kind, _ := event.get("Type").text()
		if kind != "Api" && kind != "HttpApi" {
			return
		}
		p := event.get("Properties")
		path, hasPath := p.get("Path").text()
		method, hasMethod := p.get("Method").text()
		switch {
		case kind == "HttpApi" && !p.get("Path").present() && !p.get("Method").present():
			t.unread(event.line(), "event %s of %s is $default, the route of everything else: no policy has it, and it is open or not as a whole", name, function)
			return
		case !hasPath || !hasMethod:
			t.unread(event.line(), "path and method of event %s of %s", name, function)
			return
		}
		api := t.api(kind, p)
		authorizer := t.defaultAuthorizer(kind, api)
		if chosen, ok := p.in("Auth", "Authorizer").text(); ok {
			authorizer = chosen
		}
		if authorizer == "NONE" {
			authorizer = ""
		}
		t.add(Route{Verb: method, Path: path, Authorizer: authorizer, Scopes: p.in("Auth", "AuthorizationScopes").texts(), To: function, Line: event.line()})
	})
}

// api are the properties of the API that an event names; without a name it is SAM's own,
// which Globals describe.
func (t template) api(kind string, event value) value {
	ref := "RestApiId"
	if kind == "HttpApi" {
		ref = "ApiId"
	}
	return t.resources.in(event.get(ref).ref(), "Properties")
}

// method reads a method of a REST API that is written out.
func (t template) method(name string, p value) {
	path, ok := t.path(p.get("ResourceId"))
	verb, hasVerb := p.get("HttpMethod").text()
	if !ok || !hasVerb {
		t.unread(p.line(), "path and method of %s", name)
		return
	}
	r := Route{Verb: verb, Path: path, Scopes: p.get("AuthorizationScopes").texts(), To: p.in("Integration", "Uri").ref(), Line: p.line()}
	r.Authorizer, ok = authorization(p)
	if !ok {
		t.unread(p.line(), "authorization of %s", name)
		return
	}
	t.add(r)
}

// path follows a resource to the root of its API.
func (t template) path(id value) (string, bool) {
	path := ""
	for range 64 {
		name := id.ref()
		resource := t.resources.get(name)
		switch typ, _ := resource.get("Type").text(); typ {
		case "AWS::ApiGateway::RestApi", "AWS::Serverless::Api": // !GetAtt Api.RootResourceId
			return "/" + path, true
		case "AWS::ApiGateway::Resource":
			part, ok := resource.in("Properties", "PathPart").text()
			if !ok {
				return "", false
			}
			path = strings.TrimSuffix(part+"/"+path, "/")
			id = resource.in("Properties", "ParentId")
		default:
			return "", false
		}
	}
	return "", false
}

// route reads a route of an HTTP API that is written out.
func (t template) route(name string, p value) {
	key, _ := p.get("RouteKey").text()
	verb, path, ok := strings.Cut(key, " ")
	if !ok {
		t.unread(p.line(), "route key of %s: %q is no verb and path", name, key)
		return
	}
	r := Route{Verb: verb, Path: path, Scopes: p.get("AuthorizationScopes").texts(), To: t.target(p.get("Target")), Line: p.line()}
	if r.Authorizer, ok = authorization(p); !ok {
		t.unread(p.line(), "authorization of %s", name)
		return
	}
	t.add(r)
}

// target is the function behind an integration, "integrations/${Integration}".
func (t template) target(target value) string {
	return t.resources.in(target.ref(), "Properties", "IntegrationUri").ref()
}

// authorization is the authorizer of a method or route; false where it cannot be read.
func authorization(p value) (string, bool) {
	kind, ok := p.get("AuthorizationType").text()
	switch {
	case !p.get("AuthorizationType").present(), kind == "NONE":
		return "", true
	case kind == IAM:
		return IAM, true
	case !ok:
		return "", false
	}
	if name := p.get("AuthorizerId").ref(); name != "" {
		return name, true
	}
	return kind, true
}
