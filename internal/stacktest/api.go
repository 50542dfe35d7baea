package stacktest

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// properties decodes those of a resource.
func (x *Stack) properties(t testing.TB, name string, into any) {
	t.Helper()
	doc, err := json.Marshal(x.Value(t, Member(x.Resources[name], "Properties")))
	if err == nil {
		err = json.Unmarshal(doc, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// each calls for the resources of a type.
func (x *Stack) each(typ string, call func(name string)) {
	for name, r := range x.Resources {
		if Member(r, "Type").Value == typ {
			call(name)
		}
	}
}

// A Function is what Lambda is told of one.
type Function struct {
	Name     string // of its resource
	Zip      string // base name of its code
	Handler  string
	Role     string // name of the resource
	LogGroup string // its name
	Timeout  time.Duration
	Env      map[string]string
}

// defaultTimeout is Lambda's own.
const defaultTimeout = 3 * time.Second

// Functions are those of the stack, by their names.
func (x *Stack) Functions(t testing.TB) map[string]Function {
	t.Helper()
	all := make(map[string]Function)
	add := func(name string) {
		var p struct {
			CodeUri, Handler, Role, FunctionName string
			Timeout                              int
			LoggingConfig                        struct{ LogGroup string }
			Code                                 struct{ S3Key string }
			Environment                          struct{ Variables map[string]string }
		}
		x.properties(t, name, &p)
		f := Function{
			Name: name, Zip: path.Base(p.CodeUri + p.Code.S3Key), Handler: p.Handler, Role: path.Base(p.Role),
			LogGroup: p.LoggingConfig.LogGroup, Timeout: time.Duration(p.Timeout) * time.Second, Env: p.Environment.Variables,
		}
		if f.Timeout == 0 {
			f.Timeout = defaultTimeout
		}
		if f.LogGroup == "" {
			f.LogGroup = "/aws/lambda/" + p.FunctionName
		}
		all[name] = f
	}
	x.each("AWS::Serverless::Function", add)
	x.each("AWS::Lambda::Function", add)
	return all
}

// Policies are the documents of a role.
func (x *Stack) Policies(t testing.TB, role string) []json.RawMessage {
	t.Helper()
	var p struct {
		Policies []struct{ PolicyDocument json.RawMessage }
	}
	x.properties(t, role, &p)
	var all []json.RawMessage
	for _, policy := range p.Policies {
		all = append(all, policy.PolicyDocument)
	}
	return all
}

// A Method is one of a REST API.
type Method struct {
	Verb, Path string
	Authorizer string // name of the resource; empty: the method is open
	Function   string // name of the resource; empty: it answers itself
	// Status and Headers are the answer of a method without a function.
	Status  string
	Headers map[string]string
}

var invoked = regexp.MustCompile(`:function:([A-Za-z0-9]+)/invocations$`)

// functionOf is the function of an integration or authorizer.
func functionOf(t testing.TB, name, uri string) string {
	t.Helper()
	found := invoked.FindStringSubmatch(uri)
	if found == nil {
		t.Fatalf("%s: %q calls no function", name, uri)
	}
	return found[1]
}

// Methods are those of the API.
func (x *Stack) Methods(t testing.TB) []Method {
	t.Helper()
	var all []Method
	x.each("AWS::ApiGateway::Method", func(name string) {
		var p struct {
			ResourceId, HttpMethod, AuthorizationType, AuthorizerId string
			Integration                                             struct {
				Type, Uri            string
				IntegrationResponses []struct {
					StatusCode         string
					ResponseParameters map[string]string
				}
			}
		}
		x.properties(t, name, &p)
		m := Method{Verb: p.HttpMethod, Path: x.path(t, p.ResourceId)}
		switch p.AuthorizationType {
		case "NONE":
		case "CUSTOM":
			m.Authorizer = p.AuthorizerId
		default:
			t.Fatalf("%s: authorization %q", name, p.AuthorizationType)
		}
		if p.Integration.Type == "MOCK" {
			m.Status, m.Headers = p.Integration.IntegrationResponses[0].StatusCode, headers(t, name, "method.response.header.", p.Integration.IntegrationResponses[0].ResponseParameters)
		} else {
			m.Function = functionOf(t, name, p.Integration.Uri)
		}
		all = append(all, m)
	})
	return all
}

// path follows a resource to the root.
func (x *Stack) path(t testing.TB, id string) string {
	t.Helper()
	if id == attributes["AWS::ApiGateway::RestApi"]["RootResourceId"] {
		return "/"
	}
	var p struct{ ParentId, PathPart string }
	x.properties(t, id, &p)
	return path.Join(x.path(t, p.ParentId), p.PathPart)
}

// An Authorizer is one of a REST API.
type Authorizer struct {
	Function       string // name of the resource
	Type           string
	IdentitySource string
	TTL            time.Duration
}

// Authorizer is the one of that name.
func (x *Stack) Authorizer(t testing.TB, name string) Authorizer {
	t.Helper()
	var p struct {
		Type, IdentitySource, AuthorizerUri string
		AuthorizerResultTtlInSeconds        int
	}
	x.properties(t, name, &p)
	return Authorizer{functionOf(t, name, p.AuthorizerUri), p.Type, p.IdentitySource, time.Duration(p.AuthorizerResultTtlInSeconds) * time.Second}
}

// Responses are the gateway responses that the API has instead of AWS's own.
func (x *Stack) Responses(t testing.TB) map[gateway.ResponseType]gateway.Response {
	t.Helper()
	all := make(map[gateway.ResponseType]gateway.Response)
	x.each("AWS::ApiGateway::GatewayResponse", func(name string) {
		var p struct {
			ResponseType       gateway.ResponseType
			StatusCode         int `json:",string"`
			ResponseParameters map[string]string
			ResponseTemplates  map[string]string
		}
		x.properties(t, name, &p)
		all[p.ResponseType] = gateway.Response{
			StatusCode: p.StatusCode, Headers: headers(t, name, "gatewayresponse.header.", p.ResponseParameters), Body: p.ResponseTemplates["application/json"],
		}
	})
	return all
}

// headers reads a mapping of parameters: texts in quotes, and members of the context.
func headers(t testing.TB, name, prefix string, parameters map[string]string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for parameter, value := range parameters {
		header, ok := strings.CutPrefix(parameter, prefix)
		if !ok {
			t.Fatalf("%s: parameter %q", name, parameter)
		}
		switch text := strings.TrimSuffix(strings.TrimPrefix(value, "'"), "'"); {
		case len(text) == len(value)-2:
			all[header] = text
		case strings.HasPrefix(value, "context."):
			all[header] = "$" + value
		default:
			t.Fatalf("%s: %s is neither a text in quotes nor a member of the context", name, value)
		}
	}
	return all
}

// Schedules are the functions that are called from time to time.
func (x *Stack) Schedules(t testing.TB) []string {
	t.Helper()
	var all []string
	x.each("AWS::Events::Rule", func(name string) {
		var p struct {
			ScheduleExpression string
			Targets            []struct{ Arn string }
		}
		x.properties(t, name, &p)
		for _, target := range p.Targets {
			all = append(all, functionOf(t, name, target.Arn+"/invocations"))
		}
	})
	return all
}
