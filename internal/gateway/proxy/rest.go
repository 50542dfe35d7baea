package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// restEvent is an event of format 1.0. It takes events written by hand too:
// everything may be left out, and what has the wrong type where nothing depends on
// it is passed over.
type restEvent struct {
	Version                         json.RawMessage
	Resource                        json.RawMessage
	Path                            string
	HTTPMethod                      string
	Headers                         json.RawMessage
	MultiValueHeaders               json.RawMessage
	QueryStringParameters           map[string]string
	MultiValueQueryStringParameters map[string][]string
	PathParameters                  json.RawMessage
	RequestContext                  struct {
		RequestID  string
		DomainName string
		Stage      string
		Identity   struct{ SourceIP string }
	}
	Body            *string
	IsBase64Encoded bool
}

func parseREST(doc []byte) (input, error) {
	var e restEvent
	if err := json.Unmarshal(doc, &e); err != nil {
		return input{}, err
	}
	rc := e.RequestContext
	return input{
		method: e.HTTPMethod, path: e.path(), query: e.query().Encode(), header: e.header(),
		domain: rc.DomainName, sourceIP: rc.Identity.SourceIP, requestID: rc.RequestID,
		body: e.Body, isBase64: e.IsBase64Encoded, answer: (*recorder).answerREST,
	}, nil
}

// path is the requested path without the base path of a custom domain, and without
// the stage, which HTTP APIs leave in it: both stand before what the resource
// covers.
func (e *restEvent) path() string {
	var resource, version string
	var params map[string]string
	json.Unmarshal(e.Resource, &resource) // what is none stays empty
	json.Unmarshal(e.PathParameters, &params)
	switch own := expand(resource, params); own {
	case "":
	case "/":
		return own
	default:
		parts := strings.Split(e.Path, "/")
		tail := "/" + strings.Join(parts[max(len(parts)-strings.Count(own, "/"), 0):], "/")
		if plain, err := url.PathUnescape(tail); err == nil && plain == own {
			return tail
		}
		return e.Path
	}
	json.Unmarshal(e.Version, &version)
	if stage := e.RequestContext.Stage; version == "1.0" && stage != "" && stage != "$default" {
		return withoutPrefix(e.Path, "/"+stage)
	}
	return e.Path
}

// expand puts the path parameters into a resource. It returns "" where one is
// missing, and for what is no resource with a path, such as $default.
func expand(resource string, params map[string]string) string {
	if !strings.HasPrefix(resource, "/") {
		return ""
	}
	parts := strings.Split(resource[1:], "/")
	for i, part := range parts {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			continue
		}
		value := params[strings.TrimSuffix(strings.TrimSuffix(name, "}"), "+")]
		plain, err := url.PathUnescape(value)
		if value == "" || err != nil {
			return ""
		}
		parts[i] = plain
	}
	return "/" + strings.Join(parts, "/")
}

func (e *restEvent) header() http.Header {
	var single map[string]string
	var multi map[string][]string
	if json.Unmarshal(e.Headers, &single) != nil {
		single = nil // a string in old mocks
	}
	if json.Unmarshal(e.MultiValueHeaders, &multi) != nil {
		multi = nil
	}
	return merge(single, multi)
}

func (e *restEvent) query() url.Values {
	q := make(url.Values)
	for name, value := range e.QueryStringParameters {
		q.Set(name, value)
	}
	for name, values := range e.MultiValueQueryStringParameters {
		q[name] = values
	}
	return q
}
