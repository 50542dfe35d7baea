package minidyn_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/dynamo"
	"github.com/latchkey-auth/latchkey/internal/servetest"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

func TestMain(m *testing.M) {
	// A region that there is: for others the SDK compiles expressions at each request.
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if os.Getenv("LATCHKEY_TEST_DYNAMODB_ENDPOINT") == "" || os.Getenv(name) == "" {
			os.Setenv(name, value)
		}
	}
	// The emulator keeps little, and makes much garbage: a fifth of the time went to collecting it.
	debug.SetGCPercent(400)
	code := m.Run()
	servetest.Clean()
	os.Exit(code)
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (first, second storetest.Store) {
		if endpoint := os.Getenv("LATCHKEY_TEST_DYNAMODB_ENDPOINT"); endpoint != "" {
			table := fmt.Sprintf("latchkey-test-%d", time.Now().UnixNano())
			return openAt(t, endpoint, table), openAt(t, endpoint, table)
		}
		_, url := emulator(t)
		return openAt(t, url, "latchkey"), openAt(t, url, "latchkey")
	})
}

func emulator(t testing.TB) (*layer, string) {
	t.Helper()
	l := newLayer()
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	l.url = s.URL
	return l, s.URL
}

// openAt makes the table if it is not there, and opens it as a process of its own would.
func openAt(t *testing.T, endpoint, table string) *dynamo.Store {
	t.Helper()
	client := connect(t, endpoint)
	if err := dynamo.Create(t.Context(), client, table); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if os.Getenv("LATCHKEY_TEST_DYNAMODB_ENDPOINT") != "" {
			_, _ = client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &table})
		}
	})
	return open(t, dynamo.Config{Client: client, Table: table, EventShards: 3, RevocationShards: 2})
}

func connect(t *testing.T, endpoint string) *dynamodb.Client {
	t.Helper()
	cfg, err := awsaccess.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamo.Connect(cfg, "", endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func open(t *testing.T, cfg dynamo.Config) *dynamo.Store {
	t.Helper()
	s, err := dynamo.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
