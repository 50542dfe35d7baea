package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/issuers"
	"github.com/latchkey-auth/latchkey/internal/issuers/remote"
	"github.com/latchkey-auth/latchkey/internal/offline"
	"github.com/latchkey-auth/latchkey/internal/revocationsource"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

type invokeCmd struct {
	Function string `arg:"" help:"login (or auth), authorizer, publicEndpoint, privateEndpoint." enum:"login,auth,authorizer,publicEndpoint,privateEndpoint"`
	Path     string `help:"File of the event; - is standard input. {{token}} in it becomes a fresh token of the demo user." default:"-" placeholder:"FILE"`
	revocationFlags
	serviceFlags
}

// invokeTimeout is Lambda's longest.
const invokeTimeout = 15 * time.Minute

func (c *invokeCmd) Run(ctx context.Context, p *process) error {
	event, err := p.readInput(c.Path)
	if err != nil {
		return fmt.Errorf("reading the event: %w", err)
	}
	settings, err := c.config(p.logger())
	if err == nil {
		settings.Revocations, err = c.revocations()
	}
	if err != nil {
		return err
	}
	if settings.Events, err = awslambda.EventSettings(os.Getenv); err != nil {
		return err
	}
	settings.OtherIssuers = p.config.issuers
	sys, err := app.OpenDemo(ctx, settings, "http://127.0.0.1:4000")
	if err != nil {
		return c.explain(err)
	}
	defer sys.Close()
	if marker := []byte("{{token}}"); bytes.Contains(event, marker) {
		token, err := sys.DemoToken(ctx)
		if err != nil {
			return err
		}
		event = bytes.ReplaceAll(event, marker, []byte(token))
	}
	if !json.Valid(event) {
		return usagef("the event is not JSON: %s; give its file with --path", strings.Replace(c.Path, "-", "standard input", 1))
	}
	table, err := p.config.table()
	if err != nil {
		return err
	}
	functions, err := sys.Functions(table, p.authorizerLog(p.logger()))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(offline.LambdaContext(ctx, c.Function, "invoke"), invokeTimeout)
	defer cancel()
	answer, err := functions[c.Function](ctx, event)
	sys.DeliverNow(ctx)
	if err != nil {
		fmt.Fprintf(p.stdout, "%s\n", awslambda.ErrorDocument(err))
		return &quietError{}
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, answer, "", "  "); err != nil {
		return fmt.Errorf("the function's answer is not JSON: %w", err)
	}
	_, err = fmt.Fprintln(p.stdout, pretty.String())
	return err
}

// readInput reads a text file or, for "-", standard input.
func (p *process) readInput(path string) ([]byte, error) {
	if path == "-" {
		doc, err := io.ReadAll(p.stdin)
		if err != nil {
			return nil, err
		}
		if doc, err = textfile.Decode(doc); err != nil {
			return nil, fmt.Errorf("standard input %w", err)
		}
		return doc, nil
	}
	return textfile.ReadFile(path)
}

// lambdaCmd is what main runs on Lambda: a command, so that variables and
// latchkey.yaml in the zip mean what they mean everywhere.
type lambdaCmd struct {
	BasePath string `name:"base-path" help:"Prefix of paths before the service's own, where an event does not tell it." env:"LATCHKEY_BASE_PATH" placeholder:"PATH"`
	serviceFlags
	httpFlags
}

func lambdaMain() {
	// The exit status tells Lambda nothing; what went wrong has been reported.
	os.Exit(run(context.Background(), []string{"lambda"}, os.Stdin, os.Stdout, os.Stderr))
}

func (c *lambdaCmd) Run(ctx context.Context, p *process) error {
	awslambda.Main(func() (gateway.Function, error) {
		f, err := c.function(ctx, p, os.Getenv("_HANDLER"))
		return f, app.ExplainAccess(err)
	})
	return nil
}

func (c *lambdaCmd) function(ctx context.Context, p *process, name string) (gateway.Function, error) {
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	switch name {
	case "authorizer":
		a, err := awslambda.Authorizer(os.Getenv, p.logger(), awslambda.Remote{
			Keys:        func(log *slog.Logger) issuers.KeySource { return remote.Keys(log, true) },
			Revocations: revocationsource.FromEnvironment,
		})
		if err != nil {
			return nil, err
		}
		return a.Handle, nil
	case "publicEndpoint", "privateEndpoint":
		return app.DemoEndpoints()[name], nil
	case "auth", "login":
		return c.auth(ctx, p)
	case "maintain":
		cfg, err := c.service(p)
		if err != nil {
			return nil, err
		}
		f, err := app.OpenMaintenance(ctx, cfg)
		return f, c.explain(err)
	}
	return nil, fmt.Errorf("the function's handler is %q; set it to auth (or login), authorizer, maintain, publicEndpoint or privateEndpoint", name)
}

// auth is the auth service as a function. Its store must be named, or its data directory:
// on /tmp that is gone with the execution environment, and each of those has users of its
// own; on EFS it can be damaged, because SQLite's locks are not made for NFS.
func (c *lambdaCmd) auth(ctx context.Context, p *process) (gateway.Function, error) {
	cfg, err := c.service(p)
	if err != nil {
		return nil, err
	}
	base := strings.TrimRight(c.BasePath, "/")
	if c.BasePath != "" && !gateway.CanonicalPath(base) {
		return nil, fmt.Errorf("LATCHKEY_BASE_PATH is %q; it must be like /auth", c.BasePath)
	}
	f, err := app.OpenFunction(ctx, cfg, base)
	return f, c.explain(err)
}

// service is the configuration of a function on the store.
func (c *lambdaCmd) service(p *process) (app.Config, error) {
	cfg, err := c.config(p.logger())
	if err != nil {
		return cfg, err
	}
	if cfg.Store.Scheme == "" && os.Getenv("LATCHKEY_DATA") == "" && p.config.settings["data"] == "" {
		return cfg, errors.New("LATCHKEY_STORE is not set: name the table that all execution environments share, dynamodb://TABLE. Without it auth keeps its users in a SQLite database, and Lambda has no disk that outlives the execution environment and that SQLite can rely on (EFS is NFS); to try that here, set LATCHKEY_DATA to /tmp/latchkey or :memory:, where every environment has users of its own, and they are gone with it")
	}
	if !compatible() && c.PublicURL == "" && c.Issuer == "" {
		return cfg, errors.New("LATCHKEY_PUBLIC_URL is not set: on Lambda the service cannot know the address that tokens name as their issuer")
	}
	c.httpFlags.fill(&cfg)
	return cfg, nil
}
