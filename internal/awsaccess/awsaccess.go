// Package awsaccess is how latchkey gets at AWS: one configuration for every service,
// read by the standard variables, files and roles of the SDK, and what to do about a
// request that AWS refuses.
package awsaccess

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

var (
	mu     sync.Mutex // guards loaded
	loaded *aws.Config
)

// Load returns the configuration. It is read once per process, at the first call that
// succeeds, so that all services share one set of credentials and their renewal.
func Load(ctx context.Context) (aws.Config, error) {
	mu.Lock()
	defer mu.Unlock()
	if loaded != nil {
		return loaded.Copy(), nil
	}
	cfg, err := Read(ctx)
	if err != nil {
		return cfg, err
	}
	loaded = &cfg
	return cfg.Copy(), nil
}

// Read reads the configuration anew. The SDK logs nothing by it: its lines are not ours, and
// what matters is in its errors.
func Read(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return cfg, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	return cfg, nil
}

// In returns the configuration for a region, unless it is empty, in which one attempt of
// a request may take so long; the SDK decides how many there are.
func In(cfg aws.Config, region string, attempt time.Duration) (aws.Config, error) {
	cfg = cfg.Copy()
	if region != "" {
		cfg.Region = region
	}
	if cfg.Region == "" {
		return cfg, errors.New("no AWS region: set AWS_REGION")
	}
	switch client := cfg.HTTPClient.(type) {
	case nil:
		cfg.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attempt)
	case *awshttp.BuildableClient: // which may have the authorities of AWS_CA_BUNDLE
		cfg.HTTPClient = client.WithTimeout(attempt)
	case *http.Client:
		limited := *client
		limited.Timeout = attempt
		cfg.HTTPClient = &limited
	}
	return cfg, nil
}
