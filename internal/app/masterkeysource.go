package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/masterkey"
)

var errTwoMasterKeys = settingsErrorf("LATCHKEY_MASTER_KEY and --master-key-file are both given; keep one")

// namedMasterKey is the key that the setting holds, or that is where the setting says. With
// Create it makes one there, unless keys reports that the store was written under another.
func (c Config) namedMasterKey(ctx context.Context, keys func(context.Context) ([]keyring.Record, error)) (keyring.MasterKey, error) {
	key, err := c.findMasterKey(ctx, keys)
	if err != nil {
		return key, fmt.Errorf("LATCHKEY_MASTER_KEY: %w", err)
	}
	return key, nil
}

func (c Config) findMasterKey(ctx context.Context, keys func(context.Context) ([]keyring.Record, error)) (keyring.MasterKey, error) {
	var none keyring.MasterKey
	source, err := masterkey.Parse(string(c.MasterKey))
	if errors.Is(err, masterkey.ErrNoSource) {
		key, err := keyring.ParseMasterKey(string(c.MasterKey))
		if err != nil {
			err = fmt.Errorf("%w, or kms:KEY:CIPHERTEXT, secretsmanager:NAME or ssm:NAME", err)
		}
		return key, err
	}
	if err != nil {
		return none, err
	}
	client, err := masterKeyClient(ctx)
	if err != nil {
		return none, err
	}
	key, err := client.Open(ctx, source)
	if !errors.Is(err, masterkey.ErrMissing) || !c.Create {
		return key, err
	}
	stored, listErr := keys(ctx)
	switch {
	case listErr != nil:
		return none, listErr
	case len(stored) > 0:
		return none, fmt.Errorf("%w there now, and the store was written under one: put it back", masterkey.ErrMissing)
	}
	c.Log.Info("creating the master key", "source", source.String())
	return client.Create(ctx, source)
}

func masterKeyClient(ctx context.Context) (masterkey.Client, error) {
	cfg, err := awsaccess.Load(ctx)
	return masterkey.Client{AWS: cfg}, err
}

// SealMasterKey seals a key by a key of KMS. The text is what LATCHKEY_MASTER_KEY takes, and
// no secret.
func SealMasterKey(ctx context.Context, kmsKey string, key keyring.MasterKey) (string, error) {
	client, err := masterKeyClient(ctx)
	if err != nil {
		return "", err
	}
	source, err := client.Seal(ctx, kmsKey, key)
	if err != nil {
		return "", err
	}
	return source.String(), nil
}

// CurrentMasterKey is the key in use, without opening the store.
func (c Config) CurrentMasterKey(ctx context.Context) (keyring.MasterKey, error) {
	c.Create = false
	noKeys := func(context.Context) ([]keyring.Record, error) { return nil, nil }
	switch {
	case c.MasterKey != "" && c.MasterKeyFile != "":
		return keyring.MasterKey{}, errTwoMasterKeys
	case c.MasterKey != "":
		return c.namedMasterKey(ctx, noKeys)
	case c.MasterKeyFile != "":
		return readMasterKey(c.MasterKeyFile)
	}
	return readOwnMasterKey(MasterKeyFile(c.Data))
}
