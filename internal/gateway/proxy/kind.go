package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A kind is what an event stands for.
type kind int

const (
	byHand       kind = iota // no mark of a gateway: a mock
	restAPI                  // REST API, and HTTP API with format 1.0
	httpAPI                  // HTTP API with format 2.0, function URL
	loadBalancer             // Application Load Balancer
)

// A NotHTTPError names an event that is no HTTP request.
type NotHTTPError struct {
	Event string // "an SQS event"
}

func (e *NotHTTPError) Error() string {
	return "the event is " + e.Event + ": this function answers HTTP requests of REST APIs, HTTP APIs, function URLs and Application Load Balancers; take it off that trigger"
}

// members are those of a JSON object, by their exact names. Null is as good as
// absent.
type members map[string]json.RawMessage

func (m members) has(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return len(m[name]) == 0 || string(m[name]) == "null" })
}

// text returns a member that is a string.
func (m members) text(name string) string {
	var s string
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	return s
}

// object returns a member that is an object, or no members.
func (m members) object(name string) members {
	var o members
	if json.Unmarshal(m[name], &o) != nil {
		return nil
	}
	return o
}

// kindOf tells events apart by the marks that AWS puts into each kind.
func kindOf(doc []byte) (kind, error) {
	var m members
	if err := json.Unmarshal(doc, &m); err != nil {
		return 0, fmt.Errorf("parsing proxy event: %w", err)
	}
	if m == nil {
		return 0, errors.New("parsing proxy event: it is null")
	}
	if name := notHTTP(m); name != "" {
		return 0, &NotHTTPError{name}
	}
	rc := m.object("requestContext")
	switch {
	case rc.has("elb"):
		return loadBalancer, nil
	case rc.has("http"):
		return httpAPI, nil
	case m.has("httpMethod"), m.has("path"):
		return restAPI, nil
	}
	for _, mark := range []string{"resource", "rawPath", "routeKey", "version"} {
		if m.text(mark) != "" {
			return 0, fmt.Errorf("parsing proxy event: it has %s, and neither requestContext.http nor httpMethod and path: it is no event of a gateway, and no mock, which holds a body alone", mark)
		}
	}
	if len(rc) > 0 {
		return 0, errors.New("parsing proxy event: it has a requestContext, and neither requestContext.http nor httpMethod and path: it is no event of a gateway, and no mock, which holds a body alone")
	}
	return byHand, nil
}

// otherEvents are events by the members that they have and no HTTP event has.
var otherEvents = []struct {
	name  string
	marks []string
}{
	{"an authorizer event", []string{"methodArn"}},
	{"an authorizer event", []string{"routeArn"}},
	{"an authorizer event", []string{"authorizationToken"}},
	{"a Cognito trigger", []string{"triggerSource"}},
	{"an EventBridge event", []string{"detail-type"}},
	{"a CloudWatch Logs event", []string{"awslogs"}},
	{"a CloudWatch alarm", []string{"alarmArn"}},
	{"a Firehose event", []string{"deliveryStreamArn"}},
	{"an Amazon MQ event", []string{"rmqMessagesByQueue"}},
	{"an Amazon MQ event", []string{"eventSource", "messages"}},
	{"a Kafka event", []string{"eventSource", "records"}},
	{"a CloudFormation custom resource", []string{"RequestType", "ResponseURL"}},
	{"a Secrets Manager rotation", []string{"SecretId", "ClientRequestToken"}},
	{"an AWS Config event", []string{"invokingEvent"}},
	{"an S3 batch operation", []string{"invocationSchemaVersion"}},
	{"a CodePipeline job", []string{"CodePipeline.job"}},
	{"an AppSync event", []string{"arguments", "info"}},
	{"an Alexa request", []string{"session", "request"}},
	{"a Lex event", []string{"bot"}},
	{"a Bedrock agent's event", []string{"messageVersion", "agent"}},
	{"a Connect event", []string{"Name", "Details"}},
	{"a VPC Lattice request", []string{"raw_path"}},
}

// recordEvents are events that are lists of records, by the records' source.
var recordEvents = map[string]string{
	"aws:sqs": "an SQS event", "aws:sns": "an SNS event", "aws:s3": "an S3 event", "aws:ses": "an SES event",
	"aws:dynamodb": "a DynamoDB stream event", "aws:kinesis": "a Kinesis event", "aws:codecommit": "a CodeCommit event",
}

// notHTTP names an event that is no HTTP request; "" if it may be one.
func notHTTP(m members) string {
	if m.has("Records") {
		return recordsName(m["Records"])
	}
	for _, other := range otherEvents {
		if m.has(other.marks...) {
			return other.name
		}
	}
	rc := m.object("requestContext")
	switch {
	case rc.has("connectionId"):
		return "a WebSocket event"
	case rc.has("serviceNetworkArn"):
		return "a VPC Lattice request"
	case m.text("type") == "TOKEN", m.text("type") == "REQUEST":
		return "an authorizer event"
	}
	return ""
}

func recordsName(doc json.RawMessage) string {
	var records []members
	if json.Unmarshal(doc, &records) != nil || len(records) == 0 {
		return "a list of records"
	}
	first := records[0]
	if first.has("cf") {
		return "a CloudFront event (Lambda@Edge)"
	}
	source := first.text("eventSource") + first.text("EventSource") // SNS writes it so
	if name, ok := recordEvents[source]; ok {
		return name
	}
	return fmt.Sprintf("a list of records from %.40q", source)
}
