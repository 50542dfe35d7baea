package deploy_test

import (
	"encoding/json"
	"testing"

	"github.com/awslabs/goformation/v7/cloudformation/apigateway"
	"github.com/awslabs/goformation/v7/cloudformation/dynamodb"
	"github.com/awslabs/goformation/v7/cloudformation/events"
	"github.com/awslabs/goformation/v7/cloudformation/iam"
	"github.com/awslabs/goformation/v7/cloudformation/lambda"
	"github.com/awslabs/goformation/v7/cloudformation/logs"
	"github.com/awslabs/goformation/v7/cloudformation/serverless"

	"github.com/latchkey-auth/latchkey/internal/stacktest"
)

// types are those of the parser. Each refuses properties that it does not know.
var types = map[string]func() any{
	"AWS::DynamoDB::Table":             func() any { return new(dynamodb.Table) },
	"AWS::Serverless::Function":        func() any { return new(serverless.Function) },
	"AWS::IAM::Role":                   func() any { return new(iam.Role) },
	"AWS::Logs::LogGroup":              func() any { return new(logs.LogGroup) },
	"AWS::Events::Rule":                func() any { return new(events.Rule) },
	"AWS::Lambda::Permission":          func() any { return new(lambda.Permission) },
	"AWS::ApiGateway::RestApi":         func() any { return new(apigateway.RestApi) },
	"AWS::ApiGateway::Resource":        func() any { return new(apigateway.Resource) },
	"AWS::ApiGateway::Method":          func() any { return new(apigateway.Method) },
	"AWS::ApiGateway::Authorizer":      func() any { return new(apigateway.Authorizer) },
	"AWS::ApiGateway::GatewayResponse": func() any { return new(apigateway.GatewayResponse) },
	"AWS::ApiGateway::Deployment":      func() any { return new(apigateway.Deployment) },
	"AWS::ApiGateway::Stage":           func() any { return new(apigateway.Stage) },
}

// newer are properties that the parser does not know yet, with the page of AWS that has
// them.
var newer = map[string]map[string]string{
	"AWS::Serverless::Function": {"LoggingConfig": "https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html#sam-function-loggingconfig"},
}

// TestTemplateHasKnownPropertiesOnly: a mistyped property would be found at the first
// deployment, or never.
func TestTemplateHasKnownPropertiesOnly(t *testing.T) {
	for form, parameters := range forms {
		x := stacktest.Load(t, samTemplate, parameters)
		for name, r := range x.Resources {
			typ := stacktest.Member(r, "Type").Value
			properties, ok := x.Value(t, stacktest.Member(r, "Properties")).(map[string]any)
			if !ok || types[typ] == nil {
				t.Fatalf("%s: %s is of type %s, whose properties the test does not know", form, name, typ)
			}
			for property := range newer[typ] {
				delete(properties, property)
			}
			doc, err := json.Marshal(map[string]any{"Type": typ, "Properties": properties})
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(doc, types[typ]()); err != nil {
				t.Errorf("%s: %s: %v\n%s", form, name, err, doc)
			}
		}
	}
}

func TestAMistypedPropertyIsFound(t *testing.T) {
	for typ, make := range types {
		if err := json.Unmarshal([]byte(`{"Type":"`+typ+`","Properties":{"Mistyped":1}}`), make()); err == nil {
			t.Errorf("%s takes any property", typ)
		}
	}
}
