package awslambda

import (
	"fmt"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/setting"
)

// EventSettings reads where tokens stand in events, what an answer tells, and what APIs
// need that have no routes of the table. A variable that is not set leaves the default.
func EventSettings(getenv func(string) string) (gateway.EventConfig, error) {
	var cfg gateway.EventConfig
	for _, s := range []struct {
		name string
		read func(value string) error
	}{
		{EnvTokenSources, func(value string) (err error) {
			cfg.Sources, err = gateway.ParseTokenSources(value)
			return err
		}},
		{EnvContextClaims, func(value string) (err error) {
			cfg.Claims, err = gateway.ParseContextClaims(value)
			return err
		}},
		{EnvHTTPAPIResponses, func(value string) error {
			cfg.HTTPAnswer = gateway.HTTPAnswer(value)
			return checkHTTPAnswer(cfg.HTTPAnswer)
		}},
		{EnvWebSocketScopes, func(value string) (err error) {
			cfg.ConnectScopes, err = gateway.ParseScopes(value)
			return err
		}},
		{EnvWebSocketIssuers, func(value string) (err error) {
			cfg.ConnectIssuers, err = gateway.ParseIssuers(value)
			return err
		}},
		{EnvAppSyncIssuers, func(value string) (err error) {
			cfg.GraphQL.Issuers, err = gateway.ParseIssuers(value)
			return err
		}},
		{EnvAppSyncScopes, func(value string) (err error) {
			cfg.GraphQL.Scopes, err = gateway.ParseScopes(value)
			return err
		}},
		{EnvAppSyncFields, func(value string) (err error) {
			cfg.GraphQL.Fields, err = gateway.ParseGraphQLFields(value)
			return err
		}},
	} {
		value := getenv(s.name)
		if value == "" {
			continue
		}
		if err := setting.Check(s.name, value); err != nil {
			return cfg, err
		}
		if err := s.read(value); err != nil {
			return cfg, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return cfg, nil
}

func checkHTTPAnswer(a gateway.HTTPAnswer) error {
	if slices.Contains([]gateway.HTTPAnswer{gateway.AnswerPolicy, gateway.AnswerSimple, gateway.AnswerSimplePerRoute}, a) {
		return nil
	}
	return fmt.Errorf("%q must be %s, %s or %s", a, gateway.AnswerPolicy, gateway.AnswerSimple, gateway.AnswerSimplePerRoute)
}
