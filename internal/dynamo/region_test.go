package dynamo

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// empty answers every request with an empty object.
type empty struct{}

func (empty) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func someone(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
}

// TestEmulatorsAreAskedAsCheaplyAsARegion: what the SDK does to find out about a region that
// it does not know, at each request, doubles the allocations.
func TestEmulatorsAreAskedAsCheaplyAsARegion(t *testing.T) {
	allocations := func(region string) float64 {
		cfg := aws.Config{Credentials: aws.CredentialsProviderFunc(someone), HTTPClient: empty{}}
		client, err := Connect(cfg, region, "http://127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		in := &dynamodb.GetItemInput{TableName: aws.String("latchkey"), Key: newItem(key{"a", "b"})}
		return testing.AllocsPerRun(20, func() {
			if _, err := client.GetItem(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		})
	}
	if without, known := allocations(""), allocations("eu-west-1"); without > 1.1*known {
		t.Errorf("%.0f allocations a request without a region, %.0f in eu-west-1", without, known)
	}
}
