package revocationsource

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/latchkey-auth/latchkey/internal/fetch"
)

// TestSignaturesAreThoseOfTheSDK, for temporary credentials and others.
func TestSignaturesAreThoseOfTheSDK(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	for _, c := range []credentials{{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""}, {"ASIAEXAMPLE", "secret", "a/session+token=="}} {
		for _, body := range []string{"", `{"TableName":"latchkey"}`, strings.Repeat("ä", 5000)} {
			for _, endpoint := range []string{"https://dynamodb.eu-central-1.amazonaws.com", "http://127.0.0.1:8000"} {
				ours := fetch.Request{Method: "POST", URL: endpoint + "/", Body: []byte(body), Header: map[string]string{
					"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.Query",
				}}
				theirs, err := http.NewRequest(ours.Method, ours.URL, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range ours.Header {
					theirs.Header.Set(name, value)
				}
				theirs.ContentLength = 0 // the SDK would sign it; a header of HTTP's own need not be
				sign(&ours, "eu-central-1", c, now)
				err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: c.accessKeyID, SecretAccessKey: c.secretAccessKey, SessionToken: c.sessionToken},
					theirs, hash([]byte(body)), service, "eu-central-1", now)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := ours.Header["Authorization"], theirs.Header.Get("Authorization"); got != want {
					t.Errorf("%s, %d bytes:\ngot  %s\nwant %s", endpoint, len(body), got, want)
				}
			}
		}
	}
}
