package minidyn_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/awstest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/offline"
	"github.com/latchkey-auth/latchkey/internal/stacktest"
)

const root = "../../.." // of the repository

// A deployment is the SAM template as it is deployed here: its zips under a Runtime API each,
// with the variables and the role that it gives them, behind a local API Gateway with its
// methods, on a table as it describes.
type deployment struct {
	stack     *stacktest.Stack
	url       string // of the API, by the stack's output
	client    *http.Client
	functions map[string]*lambda // by the names of their resources
	env       []string           // of programs that are no functions
	zips      string
	judge     *judge
	aws       *awstest.Server
	secrets   *awstest.Secrets
}

func deploy(t *testing.T, parameters map[string]string) *deployment {
	t.Helper()
	x := stacktest.Load(t, root+"/deploy/sam/template.yaml", parameters)
	d := &deployment{stack: x, functions: make(map[string]*lambda), zips: makeZips(t), judge: newJudge(t, x), secrets: &awstest.Secrets{}}
	table := newLayer()
	database := httptest.NewServer(d.judge.database(table))
	t.Cleanup(database.Close)
	d.aws = awstest.New(t, d.judge.services(func(c awstest.Call) (any, error) {
		if c.Service == "ses" {
			return map[string]string{"MessageId": "1"}, nil
		}
		return d.secrets.Answer(c)
	}))
	d.env = append(d.aws.Env(), "AWS_ENDPOINT_URL_DYNAMODB="+database.URL, "LATCHKEY_ARGON2=m=64,t=1,p=1") // cheap hashes: what they cost is not what this is about
	d.createTables(t, table)

	// There is no name service for the API's own name: everything that has it gets the
	// address of the local gateway instead, where the stage is the first part of paths.
	var serve http.Handler
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve.ServeHTTP(w, r) }))
	t.Cleanup(api.Close)
	d.client = api.Client()
	here := strings.NewReplacer(stacktest.API+".execute-api."+stacktest.Region+".amazonaws.com", api.Listener.Addr().String())
	authorities := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	outputs := x.Value(t, stacktest.Member(x.Root, "Outputs")).(map[string]any)
	d.url = here.Replace(outputs["Url"].(map[string]any)["Value"].(string))
	stage := outputs["StageName"].(map[string]any)["Value"].(string)
	for name, f := range x.Functions(t) {
		env := append(slices.Clone(d.env), "AWS_ACCESS_KEY_ID="+name, "_HANDLER="+f.Handler, "SSL_CERT_FILE="+authorities)
		for variable, value := range f.Env {
			env = append(env, variable+"="+here.Replace(value))
		}
		if f.Env["LATCHKEY_JWKS_URL"] != "" {
			env = append(env, "LATCHKEY_JWKS_ALLOW_PRIVATE=true") // the API is on this machine
		}
		d.functions[name] = newLambda(t, d.unpack(t, f), name, f.Timeout, env...)
	}
	serve = http.StripPrefix("/"+stage, d.gateway(t))
	return d
}

// mostZipped is how large the zip of the program may be, in bytes. Lambda loads it at each
// cold start.
const mostZipped = 9_000_000

// makeZips makes what `make deploy` uploads, for this machine.
func makeZips(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("make", "zips", "DIST="+dir, "ARCHS="+runtime.GOARCH)
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make zips: %v: %s", err, said)
	}
	zip, err := os.Stat(filepath.Join(dir, "latchkey-"+runtime.GOARCH+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	if zip.Size() > mostZipped {
		t.Errorf("%s has %d bytes, more than %d", zip.Name(), zip.Size(), mostZipped)
	}
	return dir
}

// unpack has the code of a function in a directory of its own.
func (d *deployment) unpack(t *testing.T, f stacktest.Function) string {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join(d.zips, strings.Replace(f.Zip, "arm64", runtime.GOARCH, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	dir := t.TempDir()
	for _, file := range z.File {
		in, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file.Name), content, file.Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// createTables makes those of the template, as CloudFormation would.
func (d *deployment) createTables(t *testing.T, l *layer) {
	t.Helper()
	for name, r := range d.stack.Resources {
		if stacktest.Member(r, "Type").Value != "AWS::DynamoDB::Table" {
			continue
		}
		p := d.stack.Value(t, stacktest.Member(r, "Properties")).(map[string]any)
		doc, err := json.Marshal(map[string]any{"TableName": name, "AttributeDefinitions": p["AttributeDefinitions"], "KeySchema": p["KeySchema"], "BillingMode": p["BillingMode"]})
		if err == nil {
			_, err = l.carryOut("CreateTable", doc, none)
		}
		if err != nil {
			t.Fatal(err)
		}
		l.set(func() { l.expire = p["TimeToLiveSpecification"].(map[string]any)["Enabled"] == true })
	}
}

// gateway is the API of the template.
func (d *deployment) gateway(t *testing.T) http.Handler {
	t.Helper()
	cfg := offline.Config{Functions: make(map[string]gateway.Function)}
	for name, f := range d.functions {
		cfg.Functions[name] = f.invoke
	}
	var routes []gateway.Route
	for _, m := range d.stack.Methods(t) {
		to := m.Function
		if to == "" {
			to = m.Verb + " " + m.Path
			cfg.Functions[to] = mock(t, m)
		}
		routes = append(routes, gateway.Route{Method: m.Verb, Path: m.Path, Public: m.Authorizer == "", To: to})
		if m.Authorizer == "" {
			continue
		}
		a := d.stack.Authorizer(t, m.Authorizer)
		if a.Type != "TOKEN" || a.IdentitySource != "method.request.header.Authorization" {
			t.Fatalf("the authorizer is %+v", a)
		}
		cfg.Authorizer, cfg.AuthorizerTTL = d.functions[a.Function].invoke, a.TTL
	}
	var err error
	if cfg.Table, err = gateway.NewTable(routes); err == nil {
		cfg.Responses, err = gateway.OverrideResponses(d.stack.Responses(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	g, err := offline.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// mock answers for a method without a function.
func mock(t *testing.T, m stacktest.Method) gateway.Function {
	t.Helper()
	answer, err := json.Marshal(map[string]any{"statusCode": json.Number(m.Status), "headers": m.Headers})
	if err != nil {
		t.Fatal(err)
	}
	return func(context.Context, []byte) ([]byte, error) { return answer, nil }
}

// command runs the program in the zip as an operator does.
func (d *deployment) command(t *testing.T, args ...string) {
	t.Helper()
	auth := d.stack.Functions(t)["Auth"]
	cmd := exec.Command("./bootstrap", args...)
	cmd.Dir, cmd.Env = d.unpack(t, auth), append(slices.Clone(d.env), "AWS_ACCESS_KEY_ID="+operator, "LATCHKEY_STORE="+auth.Env["LATCHKEY_STORE"], "LATCHKEY_MASTER_KEY="+auth.Env["LATCHKEY_MASTER_KEY"], "LATCHKEY_PUBLIC_URL="+d.url)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("latchkey %v: %v: %s", args, err, said)
	}
}
