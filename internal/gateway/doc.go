// Package gateway knows how AWS API Gateway decides: routes, method ARNs, IAM
// policies, gateway responses. It holds the Lambda authorizer that answers it
// and the rules by which the local gateway stands in for it, so that both read
// one route table.
//
// Start at [Authorizer.Handle]: event.go reads an event into a [Question], decide.go
// answers it with a [Decision], encode.go writes that as the event's kind wants it.
//
// The authorizer runs in front of every request of an API. This package
// therefore links nothing that costs a cold start: no net/http (the payloads of
// HTTP requests are in the package proxy below), no YAML, no AWS SDK.
package gateway
