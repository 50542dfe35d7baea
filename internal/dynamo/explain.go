package dynamo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
)

// ErrNoTable: DynamoDB has no table of that name in the region, or of another account.
var ErrNoTable = errors.New("no such table")

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

// explain knows DynamoDB's own answer, and leaves all that AWS's services share to awsaccess.
func explain(err error, c call) error {
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: %s in region %s: %w", ErrNoTable, c.table(), c.region, err)
	}
	return awsaccess.Explain(err, awsaccess.Right{Actions: c.actions(), Resource: tableARN(c.region, c.table())})
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

// tableARN names a table; the account is not known.
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
