package proxy

import (
	"encoding/json"
	"strings"
)

// httpEvent is an event of format 2.0, of HTTP APIs and function URLs.
type httpEvent struct {
	RawPath        string
	RawQueryString string
	Cookies        []string
	Headers        map[string]string // lower case; several values are joined by commas
	RequestContext struct {
		RequestID  string
		DomainName string
		Stage      string
		HTTP       struct{ Method, SourceIP string }
	}
	Body            *string
	IsBase64Encoded bool
}

func parseHTTPAPI(doc []byte) (input, error) {
	var e httpEvent
	if err := json.Unmarshal(doc, &e); err != nil {
		return input{}, err
	}
	rc := e.RequestContext
	path := e.RawPath
	if rc.Stage != "" && rc.Stage != "$default" {
		path = withoutPrefix(path, "/"+rc.Stage)
	}
	header := merge(e.Headers, nil)
	if len(e.Cookies) > 0 {
		header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return input{
		method: rc.HTTP.Method, path: path, query: e.RawQueryString, header: header,
		domain: rc.DomainName, sourceIP: rc.HTTP.SourceIP, requestID: rc.RequestID,
		body: e.Body, isBase64: e.IsBase64Encoded, answer: (*recorder).answerHTTPAPI,
	}, nil
}
