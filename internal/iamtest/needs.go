package iamtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Place is where a request of a client goes.
type Place struct{ Region, Account string }

func (p Place) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + p.Region + ":" + p.Account + ":" + resource
}

// Needs are the requests that IAM judges when a client calls an operation of a service: all
// must be allowed. The operation is what X-Amz-Target says after the dot, or method and path.
// They are those of the Service Authorization Reference but where a comment says otherwise.
func (p Place) Needs(service, operation string, body []byte) ([]Request, error) {
	switch service + " " + operation {
	case "ssm GetParameter", "ssm PutParameter":
		var in struct{ Name string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		return []Request{{Action: "ssm:" + operation, Resource: p.arn("ssm", "parameter/"+strings.TrimPrefix(in.Name, "/"))}}, nil
	case "logs CreateLogStream", "logs PutLogEvents":
		var in struct{ LogGroupName, LogStreamName string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		return []Request{{Action: "logs:" + operation, Resource: p.arn("logs", "log-group:"+in.LogGroupName+":log-stream:"+in.LogStreamName)}}, nil
	case "ses POST /v2/email/outbound-emails":
		return p.sendEmail(body)
	}
	if service == "dynamodb" {
		return p.dynamoDB(operation, body)
	}
	return nil, fmt.Errorf("what rights %s %s takes is not known here", service, operation)
}

// sendEmail is SES's. The reference names ses:SendEmail alone; for a message that is sent
// raw SES has refused clients for want of ses:SendRawEmail (nodemailer, issue 1734). Both are
// asked for here.
func (p Place) sendEmail(body []byte) ([]Request, error) {
	var in struct {
		FromEmailAddress string
		Content          struct{ Raw json.RawMessage }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	if in.Content.Raw == nil {
		return nil, errors.New("a message that is not raw is not known here")
	}
	identity := p.arn("ses", "identity/"+in.FromEmailAddress)
	return []Request{{Action: "ses:SendEmail", Resource: identity}, {Action: "ses:SendRawEmail", Resource: identity}}, nil
}

// item is the part of a request about an item that says which one.
type item struct {
	TableName                 string
	Key, Item                 map[string]value
	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]value
}

type value struct{ S string }

// dynamoDB tells the partition keys by dynamodb:LeadingKeys. The attribute is called PK.
func (p Place) dynamoDB(operation string, body []byte) ([]Request, error) {
	if operation == "TransactWriteItems" {
		return p.transaction(body)
	}
	var in struct {
		item
		RequestItems map[string]struct{ Keys []map[string]value }
	}
	if operation == "BatchGetItem" {
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		var all []Request
		for table, asked := range in.RequestItems {
			var keys []string
			for _, key := range asked.Keys {
				keys = append(keys, key["PK"].S)
			}
			all = append(all, p.onTable(operation, table, keys...))
		}
		return all, nil
	}
	if err := json.Unmarshal(body, &in.item); err != nil {
		return nil, err
	}
	partition, err := in.partition(operation)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	return []Request{p.onTable(operation, in.TableName, partition)}, nil
}

// operations are those whose rights are called like them.
var operations = []string{"GetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem", "Query"}

func (i item) partition(operation string) (string, error) {
	if !slices.Contains(operations, operation) {
		return "", errors.New("what rights it takes is not known here")
	}
	if operation != "Query" {
		at := i.Key
		if operation == "PutItem" {
			at = i.Item
		}
		return at["PK"].S, nil
	}
	first, _, _ := strings.Cut(i.KeyConditionExpression, " AND ")
	name, placeholder, ok := strings.Cut(strings.Trim(first, "() "), " = ")
	if !ok || i.ExpressionAttributeNames[name] != "PK" {
		return "", fmt.Errorf("condition %q does not begin with the partition key", i.KeyConditionExpression)
	}
	return i.ExpressionAttributeValues[placeholder].S, nil
}

func (p Place) onTable(operation, table string, partitions ...string) Request {
	return Request{
		Action: "dynamodb:" + operation, Resource: p.arn("dynamodb", "table/"+table),
		Keys: map[string][]string{"dynamodb:LeadingKeys": partitions},
	}
}

// ofTransactions are the rights for the parts of a transaction. There is none for the
// transaction itself.
var ofTransactions = map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}

func (p Place) transaction(body []byte) ([]Request, error) {
	var in struct{ TransactItems []map[string]item }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	var all []Request
	for _, part := range in.TransactItems {
		for _, kind := range slices.Sorted(maps.Keys(part)) {
			operation, known := ofTransactions[kind]
			if !known {
				return nil, fmt.Errorf("a %s in a transaction is not known here", kind)
			}
			partition, err := part[kind].partition(operation)
			if err != nil {
				return nil, err
			}
			all = append(all, p.onTable(operation, part[kind].TableName, partition))
		}
	}
	return all, nil
}
