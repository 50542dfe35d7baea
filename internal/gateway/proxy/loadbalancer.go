package proxy

import (
	"encoding/json"
	"net/url"
)

// parseLoadBalancer reads an event of an Application Load Balancer. It has one of
// headers and multiValueHeaders, by an attribute of the target group, and wants
// its answer in the same. Queries come as they were sent, percent-encoded. The
// client's address is in X-Forwarded-For alone.
func parseLoadBalancer(doc []byte) (input, error) {
	var e restEvent
	if err := json.Unmarshal(doc, &e); err != nil {
		return input{}, err
	}
	query := make(url.Values)
	for name, values := range e.query() {
		for _, v := range values {
			query.Add(decodeQuery(name), decodeQuery(v))
		}
	}
	in := input{
		method: e.HTTPMethod, path: e.Path, query: query.Encode(), header: e.header(), balanced: true,
		body: e.Body, isBase64: e.IsBase64Encoded, answer: (*recorder).answerLoadBalancer,
	}
	if (members{"multiValueHeaders": e.MultiValueHeaders}).has("multiValueHeaders") {
		in.answer = (*recorder).answerLoadBalancerMulti
	}
	return in, nil
}

// decodeQuery decodes a name or value once; what is not encoded stays.
func decodeQuery(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
