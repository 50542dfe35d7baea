package gateway

import "context"

// A Function is a Lambda function: a JSON event in, a JSON answer out.
type Function func(ctx context.Context, event []byte) ([]byte, error)

// An Invocation is what a function may know of being called.
type Invocation struct {
	RequestID   string
	FunctionARN string
}

type invocationKey struct{}

// WithInvocation returns a context that carries the invocation.
func WithInvocation(ctx context.Context, i Invocation) context.Context {
	return context.WithValue(ctx, invocationKey{}, i)
}

// InvocationFrom returns the invocation that a function was called by.
func InvocationFrom(ctx context.Context) Invocation {
	i, _ := ctx.Value(invocationKey{}).(Invocation)
	return i
}
