package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/setting"
)

// resolver gives kong the settings of the file, under flags and environment:
// kong would put the file over the environment.
func (c fileConfig) resolver() kong.Resolver {
	var f kong.ResolverFunc = func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if os.Getenv(name) != "" {
				return nil, nil
			}
		}
		if value, ok := c.settings[flag.Name]; ok {
			if on, ok := switchWord(value); ok && flag.Enum == "on,off" {
				value = map[bool]string{true: "on", false: "off"}[on]
			}
			return value, nil
		}
		return nil, nil
	}
	return f
}

// unsetEmptyVariables makes an empty variable the same as none, as compose
// files and CI systems expect.
func unsetEmptyVariables() {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" && strings.HasPrefix(name, "LATCHKEY_") {
			os.Unsetenv(name)
		}
	}
}

// switchWord reads the words that YAML and people have for true and false.
func switchWord(text string) (on, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}

// switches reads flags that are true or false. Kong's own reader does not know the
// words on and off, which YAML has too.
type switches struct{}

const switchKind = reflect.Bool

func (switches) IsBool() bool { return true }

func (switches) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		target.SetBool(true)
		return nil
	}
	value := fmt.Sprint(ctx.Scan.Pop().Value)
	on, ok := switchWord(value)
	if !ok {
		return fmt.Errorf("must be true or false but got %q", value)
	}
	target.SetBool(on)
	return nil
}

// checkEnvironment refuses variables with what comes in by accident, see
// [setting.Check]. A key set may be laid out in lines.
func checkEnvironment() error {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		ours := strings.HasPrefix(name, "LATCHKEY_") || slices.Contains([]string{awslambda.EnvSecret, awslambda.EnvUntil, awslambda.EnvAppName, "CRYPTO_BYTE_SIZE"}, name)
		if !ours || name == awslambda.EnvJWKS {
			continue
		}
		if err := setting.Check(name, value); err != nil {
			return err
		}
	}
	if old, now := os.Getenv(envSMTPURL), os.Getenv(envMailURL); old != "" && now != "" && old != now {
		return errors.New("LATCHKEY_MAIL_URL and LATCHKEY_SMTP_URL, its old name, are both set and differ; unset the latter")
	}
	_, err := awslambda.AcceptUntil(os.Getenv(awslambda.EnvUntil), os.Getenv(awslambda.EnvSecret))
	return err
}

// checkFlags does the same for the settings on the command line.
func checkFlags(k *kong.Context) error {
	for _, step := range k.Path {
		if step.Flag == nil || step.Resolved {
			continue
		}
		if err := checkStoreText(step.Flag.Name, step.Flag.Target.String()); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	for _, flag := range k.Flags() {
		if len(flag.Envs) == 0 || flag.Target.Kind() != reflect.String {
			continue
		}
		if err := setting.Check("--"+flag.Name, flag.Target.String()); err != nil {
			return err
		}
	}
	return nil
}
