package dynamo

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// TestMissingRights: the action and the table are those that AWS names, otherwise those
// of the call.
func TestMissingRights(t *testing.T) {
	table := "latchkey"
	get := call{"GetItem", "eu-west-1", &dynamodb.GetItemInput{TableName: &table}}
	batch := call{"BatchGetItem", "cn-north-1", &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{table: {}}}}
	transaction := call{"TransactWriteItems", "us-gov-west-1", &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{ConditionCheck: &types.ConditionCheck{TableName: &table}}, {Put: &types.Put{TableName: &table}}, {Update: &types.Update{TableName: &table}},
		{Delete: &types.Delete{TableName: &table}}, {Put: &types.Put{TableName: &table}},
	}}}
	const said = "User: arn:aws:sts::111122223333:assumed-role/latchkey/auth is not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb:eu-west-1:111122223333:table/latchkey because no identity-based policy allows the dynamodb:PutItem action"
	for name, c := range map[string]struct {
		call call
		said string
		want string
	}{
		"as AWS says it":                 {get, said, "(hint: grant dynamodb:PutItem on arn:aws:dynamodb:eu-west-1:111122223333:table/latchkey)"},
		"a read, of which AWS is silent": {get, "not allowed", "(hint: grant dynamodb:GetItem on arn:aws:dynamodb:eu-west-1:*:table/latchkey)"},
		"the action alone":               {get, "is not authorized to perform: dynamodb:PutItem", "(hint: grant dynamodb:PutItem on arn:aws:dynamodb:eu-west-1:*:table/latchkey)"},
		"a batch, in China":              {batch, "", "(hint: grant dynamodb:BatchGetItem on arn:aws-cn:dynamodb:cn-north-1:*:table/latchkey)"},
		"a transaction":                  {transaction, "", "(hint: grant dynamodb:ConditionCheckItem and dynamodb:DeleteItem and dynamodb:PutItem and dynamodb:UpdateItem on arn:aws-us-gov:dynamodb:us-gov-west-1:*:table/latchkey)"},
		"an unknown call":                {call{"Other", "eu-west-1", struct{}{}}, "", "(hint: grant dynamodb:Other on arn:aws:dynamodb:eu-west-1:*:table/*)"},
		"a call of nothing":              {call{"Other", "eu-west-1", nil}, "", "(hint: grant dynamodb:Other on arn:aws:dynamodb:eu-west-1:*:table/*)"},
	} {
		cause := fmt.Errorf("calling: %w", &smithy.GenericAPIError{Code: "AccessDeniedException", Message: c.said})
		err := explain(cause, c.call)
		if !strings.HasSuffix(err.Error(), c.want) || !errors.Is(err, cause) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestOtherErrorsAreExplained(t *testing.T) {
	table := "latchkey"
	c := call{"GetItem", "eu-west-1", &dynamodb.GetItemInput{TableName: &table}}
	if err := explain(&types.ResourceNotFoundException{}, c); !errors.Is(err, ErrNoTable) || !strings.Contains(err.Error(), "latchkey in region eu-west-1") {
		t.Errorf("a missing table: %v", err)
	}
	expired := &smithy.GenericAPIError{Code: "ExpiredTokenException"}
	if err := explain(expired, c); !errors.Is(err, expired) || !strings.Contains(err.Error(), "AWS_PROFILE") {
		t.Errorf("credentials that have expired: %v", err)
	}
	for _, other := range []error{errors.New("reset"), &types.TransactionCanceledException{}, &smithy.GenericAPIError{Code: "ValidationException"}} {
		if err := explain(other, c); err != other {
			t.Errorf("%v became %v", other, err)
		}
	}
}

// TestNoCredentials: the SDK says where it has looked; we say what to do.
func TestNoCredentials(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
	} {
		t.Setenv(name, value)
	}
	cfg, err := awsaccess.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := Connect(cfg, "eu-west-1", "http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Client: client, Table: "latchkey"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StoreKind(t.Context()); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "AWS_PROFILE") {
		t.Errorf("got %v", err)
	}
}

// TestConnectNeedsARegion: an endpoint of an emulator is asked without one.
func TestConnectNeedsARegion(t *testing.T) {
	if _, err := Connect(aws.Config{}, "", ""); err == nil || !strings.Contains(err.Error(), "set AWS_REGION") {
		t.Errorf("without a region: got %v", err)
	}
	for _, c := range []struct{ configured, asked, endpoint, want string }{
		{"", "", "http://127.0.0.1:1", "us-east-1"},
		{"", "local", "http://127.0.0.1:1", "local"},
		{"eu-west-1", "", "", "eu-west-1"},
		{"eu-west-1", "eu-west-2", "", "eu-west-2"},
	} {
		client, err := Connect(aws.Config{Region: c.configured}, c.asked, c.endpoint)
		if err != nil || client.Options().Region != c.want {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
