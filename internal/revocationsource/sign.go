package revocationsource

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fetch"
)

// credentials sign requests. Lambda puts them into variables.
type credentials struct {
	accessKeyID, secretAccessKey string
	sessionToken                 string // empty: they are not temporary
}

const (
	service   = "dynamodb"
	algorithm = "AWS4-HMAC-SHA256"
	timeForm  = "20060102T150405Z"
)

// sign puts the date and the Authorization header of AWS Signature Version 4 on a
// request to the root of a host without a query ("Create a signed AWS API request"). All
// headers that are set by then are signed.
func sign(r *fetch.Request, region string, c credentials, now time.Time) {
	at := now.UTC().Format(timeForm)
	r.Header["X-Amz-Date"] = at
	if c.sessionToken != "" {
		r.Header["X-Amz-Security-Token"] = c.sessionToken
	}
	_, host, _ := strings.Cut(r.URL, "://")
	values := map[string]string{"host": strings.TrimSuffix(host, "/")}
	for name, value := range r.Header {
		values[strings.ToLower(name)] = value
	}
	names := slices.Sorted(maps.Keys(values))
	var canonical strings.Builder
	canonical.WriteString("POST\n/\n\n")
	for _, name := range names {
		canonical.WriteString(name + ":" + strings.TrimSpace(values[name]) + "\n")
	}
	signed := strings.Join(names, ";")
	canonical.WriteString("\n" + signed + "\n" + hash(r.Body))

	scope := at[:8] + "/" + region + "/" + service + "/aws4_request"
	key := []byte("AWS4" + c.secretAccessKey)
	for _, part := range []string{at[:8], region, service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, algorithm+"\n"+at+"\n"+scope+"\n"+hash([]byte(canonical.String())))
	r.Header["Authorization"] = algorithm + " Credential=" + c.accessKeyID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(signature)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
