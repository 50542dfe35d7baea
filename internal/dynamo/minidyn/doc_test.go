// Package minidyn_test judges package dynamo against minidyn, an emulator of DynamoDB in
// the process, through a layer that refuses what DynamoDB would refuse and minidyn takes.
// It is a module of its own: the emulator's module graph is large, and nobody who uses
// latchkey has to have it.
//
// With LATCHKEY_TEST_DYNAMODB_ENDPOINT set, the conformance suite runs against that
// endpoint instead, in tables that it creates and deletes.
package minidyn_test
