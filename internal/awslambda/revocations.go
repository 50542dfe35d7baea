package awslambda

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/setting"
	"github.com/latchkey-auth/latchkey/revocation"
)

// revocations reads how the authorizer learns of tokens that end before they expire. It
// is nil without a source.
func revocations(getenv func(string) string, log *slog.Logger, remote Remote) (gateway.Revocations, error) {
	for _, name := range []string{EnvRevocationSource, EnvRevocationKey, EnvRevocationMode, EnvRevocationInterval, EnvRevocationMaxStale} {
		if err := setting.Check(name, getenv(name)); err != nil {
			return nil, err
		}
	}
	cfg := revocation.Config{Mode: revocation.Mode(getenv(EnvRevocationMode)), Log: log}
	address := getenv(EnvRevocationSource)
	switch {
	case cfg.Mode == revocation.Off, address == "" && cfg.Mode == "":
		log.Info("tokens live until they expire: no revocations are read", slog.String("mode", string(revocation.Off)))
		return nil, nil
	case address == "":
		return nil, fmt.Errorf("%s is %s and %s is not set: name the auth service's https://HOST/revocations, or dynamodb://TABLE", EnvRevocationMode, cfg.Mode, EnvRevocationSource)
	case remote.Revocations == nil:
		return nil, errors.New(EnvRevocationSource + " is set, and this bootstrap makes no connections: deploy authorizer-remote")
	}
	for name, to := range map[string]*time.Duration{EnvRevocationInterval: &cfg.Interval, EnvRevocationMaxStale: &cfg.MaxStale} {
		text := getenv(name)
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("%s is %.40q: it must be a duration like 10s", name, text)
		}
		*to = d
	}
	var err error
	if cfg.Source, err = remote.Revocations(address, getenv); err != nil {
		return nil, fmt.Errorf("%s: %w", EnvRevocationSource, err)
	}
	f, err := revocation.New(cfg)
	if err != nil {
		return nil, err
	}
	log.Info("tokens that are ended are refused within this time and the gateway's cache time", slog.Duration("within", f.Bound()))
	return f, nil
}
