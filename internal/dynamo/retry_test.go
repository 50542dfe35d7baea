package dynamo

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// TestAttempts: DynamoDB has its own number of attempts, and the standard settings win.
func TestAttempts(t *testing.T) {
	for _, test := range []struct {
		mode aws.RetryMode
		most int // AWS_MAX_ATTEMPTS
		want int32
	}{
		{want: 4},
		{mode: aws.RetryModeStandard, want: 4},
		{mode: aws.RetryModeAdaptive, want: 4},
		{most: 2, want: 2},
		{mode: aws.RetryModeAdaptive, most: 5, want: 5},
	} {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}))
		cfg := aws.Config{Credentials: aws.CredentialsProviderFunc(someone), RetryMode: test.mode, RetryMaxAttempts: test.most}
		client, err := Connect(cfg, "eu-west-1", server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("latchkey"), Key: newItem(key{"a", "b"})}); err == nil {
			t.Error("no error of a server that only fails")
		}
		server.Close()
		if asked.Load() != test.want {
			t.Errorf("mode %q, at most %d: %d attempts, want %d", test.mode, test.most, asked.Load(), test.want)
		}
	}
}
