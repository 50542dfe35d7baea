package deploy_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/stacktest"
)

// TestServerlessPackages has the Serverless Framework make its template of serverless.yml.
func TestServerlessPackages(t *testing.T) {
	if _, err := exec.LookPath("osls"); err != nil {
		t.Skip("NOT TESTED, serverless.yml: osls is not installed (npm install --global osls)")
	}
	root := t.TempDir()
	dir := filepath.Join(root, "deploy", "serverless")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("serverless/serverless.yml")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "serverless.yml"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"latchkey-arm64.zip", "authorizer-remote-arm64.zip"} {
		writeZip(t, filepath.Join(root, "dist", name))
	}
	cmd := exec.Command("osls", "package")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "HOME="+root, "SLS_TELEMETRY_DISABLED=1")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("osls package: %v\n%s", err, said)
	}
	text, err = os.ReadFile(filepath.Join(dir, ".serverless", "cloudformation-template-update-stack.json"))
	if err != nil {
		t.Fatal(err)
	}
	x := stacktest.Parse(t, text, nil)
	x.RefuseCircles(t, "serverless")
	guarded := make(map[string]bool)
	for _, m := range x.Methods(t) {
		guarded[m.Verb+" "+m.Path] = m.Authorizer != ""
	}
	if want := map[string]bool{"ANY /": false, "ANY /{path+}": false, "GET /publicEndpoint": false, "GET /privateEndpoint": true}; !maps.Equal(guarded, want) {
		t.Errorf("methods, and whether the authorizer is asked: %v, want %v", guarded, want)
	}
	sameResponses(t, x)
	sameFunctions(t, x)
}

// sameFunctions holds the functions against those of the SAM template: the same handler,
// variables, but for what a parameter sets there, and rights.
func sameFunctions(t *testing.T, x *stacktest.Stack) {
	t.Helper()
	bySAM := stacktest.Load(t, samTemplate, nil)
	wanted, all := bySAM.Functions(t), x.Functions(t)
	for sam, serverless := range map[string]string{
		"Auth": "AuthLambdaFunction", "Maintain": "MaintainLambdaFunction", "Authorizer": "AuthorizerLambdaFunction",
		"Demo": "PublicEndpointLambdaFunction", "DemoPrivate": "PrivateEndpointLambdaFunction",
	} {
		want, got := wanted[sam], all[serverless]
		maps.DeleteFunc(want.Env, func(_, value string) bool { return value == "" })
		names := slices.Sorted(maps.Keys(want.Env))
		if got.Handler != want.Handler || got.Timeout != want.Timeout || got.Zip != want.Zip || !slices.Equal(slices.Sorted(maps.Keys(got.Env)), names) {
			t.Errorf("%s is %+v; by SAM %+v", serverless, got, want)
		}
		if g, w := rights(t, x, got), rights(t, bySAM, want); !slices.Equal(g, w) {
			t.Errorf("%s may %v; by SAM %v", serverless, g, w)
		}
	}
}

// rights are those of a function's role, without what the two templates name differently.
func rights(t *testing.T, x *stacktest.Stack, f stacktest.Function) []string {
	t.Helper()
	var all []string
	for _, doc := range x.Policies(t, f.Role) {
		var policy struct {
			Statement []struct {
				Effect, Resource string
				Action           []string
				Condition        json.RawMessage
			}
		}
		if err := json.Unmarshal(doc, &policy); err != nil {
			t.Fatal(err)
		}
		for _, s := range policy.Statement {
			kind := strings.SplitN(s.Resource, ":", 6)
			about, _, _ := strings.Cut(kind[5], "/")
			about, _, _ = strings.Cut(about, ":")
			for _, action := range s.Action {
				all = append(all, fmt.Sprintf("%s %s on %s %s %s", s.Effect, action, kind[2], about, s.Condition))
			}
		}
	}
	slices.Sort(all)
	return all
}

func writeZip(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("bootstrap")
	if err == nil {
		_, err = strings.NewReader("bootstrap").WriteTo(w)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
