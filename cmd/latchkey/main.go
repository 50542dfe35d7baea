// Command latchkey is authentication for APIs behind API Gateway: the auth
// service, the Lambda authorizer and a local gateway to try them in.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/awslambda"
	"github.com/latchkey-auth/latchkey/internal/hashworker"
)

func main() {
	if os.Getenv(awslambda.EnvRuntimeAPI) != "" {
		lambdaMain()
		return
	}
	if len(os.Args) == 2 && os.Args[1] == hashworker.Command {
		hashWorkerMain()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// cli is the command line. Every flag can be given by its variable too, and
// those that configure the system in latchkey.yaml.
type cli struct {
	commonFlags

	Offline  offlineCmd  `cmd:"" help:"Run everything on this machine: local API Gateway, authorizer, auth service, demo endpoints."`
	Serve    serveCmd    `cmd:"" help:"Run the auth service as an HTTP server."`
	Health   healthCmd   `cmd:"" help:"Ask a server whether it is ready: exit status 0, or 1."`
	Init     initCmd     `cmd:"" help:"Create what is missing: the database or table, the master key, the first signing key."`
	Invoke   invokeCmd   `cmd:"" help:"Run one Lambda function on one event, with the data and the demo user of offline."`
	Users    usersCmd    `cmd:"" help:"Add, list and change users."`
	Keys     keysCmd     `cmd:"" help:"List, rotate, import and export signing keys."`
	Events   eventsCmd   `cmd:"" help:"Show the audit trail: who attempted what, and how it ended."`
	Store    storeCmd    `cmd:"" help:"Check, back up and copy the store; say what it is for."`
	Issuer   issuerCmd   `cmd:"" help:"Take tokens of other issuers: add, list and remove them, write them for the authorizer on Lambda."`
	Routes   routesCmd   `cmd:"" help:"Check the route table, explain a decision, compile the table for the authorizer on Lambda."`
	Token    tokenCmd    `cmd:"" help:"Look into tokens."`
	Maintain maintainCmd `cmd:"" help:"Deliver due mail and purge, once: for a timer, where the service runs on Lambda alone."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
	Lambda   lambdaCmd   `cmd:"" hidden:"" help:"Be the Lambda function that _HANDLER names."`
}

// commonFlags are those of every command.
type commonFlags struct {
	Config      string           `help:"Configuration file. By default ./latchkey.yaml, if it is there." type:"path" env:"LATCHKEY_CONFIG" placeholder:"FILE"`
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
	LogLevel    string           `help:"Least severe log lines to write: debug, info, warn or error." env:"LATCHKEY_LOG_LEVEL" enum:"debug,info,warn,error" default:"info"`
}

// hashWorkerMain is the program as a process for password hashes.
func hashWorkerMain() {
	if err := hashworker.Work(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "latchkey "+hashworker.Command+":", err)
		os.Exit(1)
	}
}

const description = `Authentication for APIs behind API Gateway: auth service, Lambda authorizer, local gateway.

Flags go over environment variables, those over the configuration file, that over defaults.
Secrets are taken from the environment, files or standard input only:

  TOKEN_SECRET          Sign and verify by HS256 with this secret (compatibility mode).
  TOKEN_SECRET_ACCEPT_UNTIL
                        Sign by keys, and accept tokens of TOKEN_SECRET until this day.
  LATCHKEY_STORE        Where everything is kept, as --store. Only here may it hold a password.
  LATCHKEY_MASTER_KEY   32 bytes in base64 that seal keys and queued mail, or where they
                        are: kms:KEY:CIPHERTEXT, secretsmanager:NAME or ssm:NAME.
                        Default: the file DATA/master.key.
  LATCHKEY_MAIL_URL     What takes mail: smtps://USER:PASSWORD@HOST[:465],
                        smtp://USER:PASSWORD@HOST[:587] (STARTTLS) or ses://REGION.
  APP_NAME              Name of the service in logs, mails and pages.
  CRYPTO_BYTE_SIZE      Digest length of old password records, for users import.`

// process is what commands have of the world.
type process struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	config fileConfig
	level  string
}

// run is the program. It returns the exit status: 0 done, 1 failed, 2 misused.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	unsetEmptyVariables()
	p := &process{stdin: stdin, stdout: stdout, stderr: stderr}
	config, err := loadConfig(args)
	if err != nil {
		fmt.Fprintln(stderr, "latchkey:", app.ExplainAccess(err))
		return 2
	}
	p.config = config
	var c cli
	exited := -1
	grammar, command := c.grammar(args)
	parser, err := kong.New(grammar, command,
		kong.Name("latchkey"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.KindMapper(switchKind, switches{}), kong.Resolvers(config.resolver()), kong.Vars{"version": versionLine()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(p))
	if err != nil {
		fmt.Fprintln(stderr, "latchkey:", err)
		return 2
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help, --version
		return exited
	}
	if err != nil {
		var parse *kong.ParseError
		command := ""
		if errors.As(err, &parse) {
			command = commandName(parse.Context)
		}
		return misused(stderr, err, command)
	}
	if k.Command() != "lambda" { // which reports it to the Runtime API
		err := checkEnvironment()
		if err == nil {
			err = checkFlags(k)
		}
		if err != nil {
			return misused(stderr, err, commandName(k))
		}
	}
	p.level = c.LogLevel
	err = app.ExplainAccess(k.Run())
	var quiet *quietError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &quiet):
		return 1
	case errors.Is(err, errUsage), errors.Is(err, app.ErrSettings):
		return misused(stderr, err, commandName(k))
	}
	fmt.Fprintln(stderr, "latchkey:", err)
	return 1
}

// grammar is what kong reads: the command that the first argument names, or all of them, for
// help and for mistakes. It reads every tag that it is given, and those of all commands take
// longer than all else of a start.
func (c *cli) grammar(args []string) (any, kong.Option) {
	for v, i := reflect.ValueOf(c).Elem(), 0; len(args) > 0 && i < v.NumField(); i++ {
		field := v.Type().Field(i)
		if _, is := field.Tag.Lookup("cmd"); is && strings.ToLower(field.Name) == args[0] {
			return &c.commonFlags, kong.DynamicCommand(args[0], field.Tag.Get("help"), "", v.Field(i).Addr().Interface(), string(field.Tag))
		}
	}
	return c, kong.Vars{}
}

// misused names the help that tells more.
func misused(stderr io.Writer, err error, command string) int {
	fmt.Fprintf(stderr, "latchkey: %v\nlatchkey: see latchkey%s --help\n", err, command)
	return 2
}

// commandName is the command as far as it was understood: " users add".
func commandName(k *kong.Context) string {
	name := ""
	for _, step := range k.Path {
		if step.Command != nil {
			name += " " + step.Command.Name
		}
	}
	return name
}

// errUsage marks errors that another command line would cure.
var errUsage = errors.New("usage")

type usageError struct{ text string }

func (e *usageError) Error() string        { return e.text }
func (e *usageError) Is(target error) bool { return target == errUsage }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// A quietError has been told already.
type quietError struct{}

func (*quietError) Error() string { return "failed" }
