package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// operations are those of the SDK's client that a Store calls. The client itself in a
// Store, which becomes an interface, would have the linker keep all 57 of its operations:
// html/template calls methods by name, and so may call any of a type that it can reach.
type operations struct {
	region string

	BatchGetItem              operation[dynamodb.BatchGetItemInput, dynamodb.BatchGetItemOutput]
	BatchWriteItem            operation[dynamodb.BatchWriteItemInput, dynamodb.BatchWriteItemOutput]
	DeleteItem                operation[dynamodb.DeleteItemInput, dynamodb.DeleteItemOutput]
	DescribeContinuousBackups operation[dynamodb.DescribeContinuousBackupsInput, dynamodb.DescribeContinuousBackupsOutput]
	DescribeTable             operation[dynamodb.DescribeTableInput, dynamodb.DescribeTableOutput]
	DescribeTimeToLive        operation[dynamodb.DescribeTimeToLiveInput, dynamodb.DescribeTimeToLiveOutput]
	GetItem                   operation[dynamodb.GetItemInput, dynamodb.GetItemOutput]
	PutItem                   operation[dynamodb.PutItemInput, dynamodb.PutItemOutput]
	Query                     operation[dynamodb.QueryInput, dynamodb.QueryOutput]
	Scan                      operation[dynamodb.ScanInput, dynamodb.ScanOutput]
	TransactWriteItems        operation[dynamodb.TransactWriteItemsInput, dynamodb.TransactWriteItemsOutput]
	UpdateItem                operation[dynamodb.UpdateItemInput, dynamodb.UpdateItemOutput]
	UpdateTimeToLive          operation[dynamodb.UpdateTimeToLiveInput, dynamodb.UpdateTimeToLiveOutput]
}

type operation[In, Out any] func(context.Context, *In, ...func(*dynamodb.Options)) (*Out, error)

func operationsOf(c *dynamodb.Client) operations {
	return operations{
		region: c.Options().Region,

		BatchGetItem:              c.BatchGetItem,
		BatchWriteItem:            c.BatchWriteItem,
		DeleteItem:                c.DeleteItem,
		DescribeContinuousBackups: c.DescribeContinuousBackups,
		DescribeTable:             c.DescribeTable,
		DescribeTimeToLive:        c.DescribeTimeToLive,
		GetItem:                   c.GetItem,
		PutItem:                   c.PutItem,
		Query:                     c.Query,
		Scan:                      c.Scan,
		TransactWriteItems:        c.TransactWriteItems,
		UpdateItem:                c.UpdateItem,
		UpdateTimeToLive:          c.UpdateTimeToLive,
	}
}
