package masterkey

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

const (
	// attemptTimeout and defaultPatience leave time for several attempts in the ten seconds that
	// Lambda gives a process to start.
	attemptTimeout  = 2500 * time.Millisecond
	defaultPatience = 9 * time.Second
	// settle is how long a key that was just stored may be missing when it is read: both
	// stores of secrets are eventually consistent.
	settle = 5 * time.Second
)

// ErrMissing: the source holds no key yet. Create makes one.
var ErrMissing = errors.New("there is no master key")

// A Client opens sources with one configuration of AWS.
type Client struct {
	// AWS is from awsaccess.Load.
	AWS aws.Config
	// Patience is how long one call takes at most, all attempts together. Zero: 9 s.
	Patience time.Duration
}

// Open returns the master key that a source holds. ErrMissing when it holds none.
func (c Client) Open(ctx context.Context, s Source) (keyring.MasterKey, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	api, err := c.client(s)
	if err != nil {
		return keyring.MasterKey{}, err
	}
	return open(ctx, api, s)
}

// Create makes a master key and stores it, unless the source holds one by now, and returns
// the one that it holds then: of any number who create at once all get the same.
// Of KMS, which stores nothing, no key can be missing.
func (c Client) Create(ctx context.Context, s Source) (keyring.MasterKey, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	var none keyring.MasterKey
	api, err := c.client(s)
	if err != nil {
		return none, err
	}
	text := keyring.NewMasterKey().Encode()
	switch s.Kind {
	case SecretsManager:
		err = createSecret(ctx, api, s, text)
	case SSM:
		err = createParameter(ctx, api, s, text)
	default:
		err = fmt.Errorf("%s stores no master key", s.Kind)
	}
	if err != nil {
		return none, err
	}
	for end := time.Now().Add(settle); ; {
		key, err := open(ctx, api, s)
		if !errors.Is(err, ErrMissing) || time.Now().After(end) {
			return key, err
		}
		select {
		case <-ctx.Done():
			return none, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func open(ctx context.Context, api *awsaccess.Client, s Source) (keyring.MasterKey, error) {
	var text string
	var err error
	switch s.Kind {
	case KMS:
		text, err = decrypt(ctx, api, s)
	case SecretsManager:
		text, err = readSecret(ctx, api, s)
	case SSM:
		text, err = readParameter(ctx, api, s)
	}
	if err != nil {
		return keyring.MasterKey{}, err
	}
	key, err := keyring.ParseMasterKey(text)
	if err != nil { // which does not show what it has read
		return key, fmt.Errorf("%s %s: what it holds is no master key: %w", s.Kind, s.Name, err)
	}
	return key, nil
}

func (c Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	patience := c.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	return context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s: %w", patience, context.DeadlineExceeded))
}

func (c Client) client(s Source) (*awsaccess.Client, error) {
	region, _ := s.region()
	api, err := awsaccess.NewClient(c.AWS, region, attemptTimeout)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w, or name it by its ARN", s.Kind, s.Name, err)
	}
	return api, nil
}

// A call is one request, for what is said of its failure.
type call struct {
	right  awsaccess.Right
	source Source
}

// failed explains an error of the SDK.
func (c call) failed(err error) error {
	return fmt.Errorf("%s %s: %w", c.source.Kind, c.source.Name, awsaccess.Explain(err, c.right))
}

func encode(key []byte) string { return base64.StdEncoding.EncodeToString(key) }
