// Package apidoc reads which routes an API has from the documents that make one: SAM and
// CloudFormation templates, configurations of the Serverless Framework, OpenAPI.
//
// What could hold routes and cannot be read is listed, never guessed: a variable of the
// Serverless Framework, a file that is included, a function of CloudFormation.
package apidoc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the longest document that is read, in bytes.
const MaxSize = 5 << 20

// A Kind is what a document is.
type Kind string

const (
	SAM        Kind = "SAM template" // CloudFormation templates too
	Serverless Kind = "serverless.yml"
	OpenAPI    Kind = "OpenAPI document"
)

// A Document is what one says.
type Document struct {
	Kind   Kind
	Routes []Route
	Unread []string // "line 12: events of function orders: ${file(events.yml)}"
}

// A Route is a verb and a path, spelled as in the route table.
type Route struct {
	Verb, Path string
	// Authorizer is the one that API Gateway asks; empty: none, the route is open. IAM is
	// another kind of protection than tokens.
	Authorizer string
	Scopes     []string // that the document itself asks for
	To         string   // the function; empty: not said
	Line       int
}

// IAM is the authorizer of routes that want signed requests.
const IAM = "AWS_IAM"

func (r Route) String() string { return r.Verb + " " + r.Path }

// Open reports whether anybody may call the route.
func (r Route) Open() bool { return r.Authorizer == "" }

// ErrUnknown: the document is none of those that are read.
var ErrUnknown = errors.New("neither a SAM or CloudFormation template (Resources:), nor a serverless.yml (functions:), nor an OpenAPI document (paths:)")

// Read reads a document, YAML or JSON.
func Read(text []byte) (Document, error) {
	if len(text) > MaxSize {
		return Document{}, fmt.Errorf("is longer than %d MB", MaxSize>>20)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return Document{}, err
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return Document{}, ErrUnknown
	}
	r := &reader{budget: maxNodes}
	top, ok := r.at(root.Content[0]), false
	switch {
	case top.get("Resources").isMap():
		r.doc.Kind, ok = SAM, true
		r.template(top)
	case top.get("functions").present() || top.get("service").present() && top.get("provider").isMap():
		r.doc.Kind, ok = Serverless, true
		r.serverless(top)
	case top.get("paths").isMap():
		r.doc.Kind, ok = OpenAPI, true
		r.openAPI(top, "")
	}
	if r.budget <= 0 {
		return Document{}, fmt.Errorf("has more than %d parts, anchors counted as often as they are named", maxNodes)
	}
	switch {
	case !ok:
		return Document{}, ErrUnknown
	case len(r.doc.Routes) > maxRoutes:
		return Document{}, fmt.Errorf("has more than %d routes", maxRoutes)
	}
	return r.doc, nil
}

// maxRoutes is more than an API of API Gateway has (300 by default). Comparing takes the
// product of both numbers.
const maxRoutes = 2000

// maxNodes bounds what is looked at, so that anchors which name each other cost no more
// than a document without them.
const maxNodes = 500_000

// A reader collects what a document says.
type reader struct {
	doc    Document
	budget int
}

func (r *reader) add(route Route) {
	route.Verb = strings.ToUpper(route.Verb)
	if route.Verb == "*" || strings.EqualFold(route.Verb, "x-amazon-apigateway-any-method") {
		route.Verb = "ANY"
	}
	if !strings.HasPrefix(route.Path, "/") {
		route.Path = "/" + route.Path
	}
	if len(route.Path) > 1 {
		route.Path = strings.TrimSuffix(route.Path, "/")
	}
	if !slices.Contains(verbs, route.Verb) {
		r.unread(route.Line, "method %q of %s", route.Verb, route.Path)
		return
	}
	r.doc.Routes = append(r.doc.Routes, route)
}

var verbs = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"}

func (r *reader) unread(line int, format string, args ...any) {
	r.doc.Unread = append(r.doc.Unread, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}
