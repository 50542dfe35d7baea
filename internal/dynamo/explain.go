package dynamo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// ErrNoTable: DynamoDB has no table of that name in the region, or of another account.
var ErrNoTable = errors.New("no such table")

// A RightError says which right is missing, and at what.
type RightError struct {
	Actions  []string // "dynamodb:GetItem"
	Resource string   // an ARN
	Err      error
}

func (e *RightError) Error() string {
	return fmt.Sprintf("grant %s on %s: %v", strings.Join(e.Actions, " and "), e.Resource, e.Err)
}
func (e *RightError) Unwrap() error { return e.Err }

// explaining has the errors of all operations say what to do.
func explaining(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("latchkey.explain", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleInitialize(ctx, in)
		if err != nil {
			err = explain(err, call{awsmiddleware.GetOperationName(ctx), awsmiddleware.GetRegion(ctx), in.Parameters})
		}
		return out, meta, err
	}), middleware.After)
}

// A call is what an error is about.
type call struct {
	operation, region string
	parameters        any
}

func explain(err error, c call) error {
	var missing *types.ResourceNotFoundException
	var answer smithy.APIError
	switch {
	case errors.As(err, &missing):
		return fmt.Errorf("%w: %s in region %s: %w", ErrNoTable, c.table(), c.region, err)
	case strings.Contains(err.Error(), noCredentials):
		return fmt.Errorf("there are no AWS credentials for this process: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give its machine or function a role: %w", err)
	case !errors.As(err, &answer):
		return err
	}
	switch code := answer.ErrorCode(); {
	case code == "AccessDeniedException" || code == "AccessDenied":
		return c.missingRight(answer.ErrorMessage(), err)
	case slices.Contains(credentialErrors, code):
		return fmt.Errorf("AWS does not take these credentials; see its variables and files (AWS_PROFILE, AWS_ACCESS_KEY_ID), and the clock of this machine: %w", err)
	}
	return err
}

// noCredentials is what the SDK says when it finds none; the error has no type.
const noCredentials = "failed to refresh cached credentials"

// credentialErrors are answers to requests whose signature DynamoDB does not take.
var credentialErrors = []string{"UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "MissingAuthenticationTokenException", "IncompleteSignatureException"}

// refusedAction is how AWS says which right is missing.
var refusedAction = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`perform: ([a-z0-9]+:[A-Za-z]+)(?: on resource: (arn:\S+))?`)
})

// missingRight goes by what AWS says, and otherwise by the call.
func (c call) missingRight(said string, err error) error {
	right := &RightError{Actions: c.actions(), Resource: c.arn(), Err: err}
	if m := refusedAction().FindStringSubmatch(said); m != nil {
		right.Actions = m[1:2]
		if m[2] != "" {
			right.Resource = m[2]
		}
	}
	return right
}

// actions are the rights that the operation needs. A transaction has none of its own.
func (c call) actions() (all []string) {
	in, ok := c.parameters.(*dynamodb.TransactWriteItemsInput)
	if !ok {
		return []string{"dynamodb:" + c.operation}
	}
	for _, w := range in.TransactItems {
		switch {
		case w.Put != nil:
			all = append(all, "dynamodb:PutItem")
		case w.Update != nil:
			all = append(all, "dynamodb:UpdateItem")
		case w.Delete != nil:
			all = append(all, "dynamodb:DeleteItem")
		case w.ConditionCheck != nil:
			all = append(all, "dynamodb:ConditionCheckItem")
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// table is the table of the call.
func (c call) table() string {
	switch in := c.parameters.(type) {
	case *dynamodb.BatchGetItemInput:
		for name := range in.RequestItems {
			return name
		}
	case *dynamodb.TransactWriteItemsInput:
		for _, w := range in.TransactItems {
			switch {
			case w.Put != nil:
				return *w.Put.TableName
			case w.Update != nil:
				return *w.Update.TableName
			case w.Delete != nil:
				return *w.Delete.TableName
			case w.ConditionCheck != nil:
				return *w.ConditionCheck.TableName
			}
		}
	default:
		v := reflect.Indirect(reflect.ValueOf(in))
		if v.Kind() != reflect.Struct {
			break
		}
		if f := v.FieldByName("TableName"); f.IsValid() {
			if name, ok := f.Interface().(*string); ok && name != nil {
				return *name
			}
		}
	}
	return "*"
}

// arn names the table; the account is not known.
func (c call) arn() string { return tableARN(c.region, c.table()) }

func tableARN(region, table string) string {
	partition := "aws"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return fmt.Sprintf("arn:%s:dynamodb:%s:*:table/%s", partition, region, table)
}
