package deploy_test

import (
	"archive/zip"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
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
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	x := &template{root: doc.Content[0], resources: members(member(doc.Content[0], "Resources"))}
	x.refuseCircles(t, "serverless")
	for name, authorization := range map[string]string{
		"ApiGatewayMethodAny": "NONE", "ApiGatewayMethodPathVarAny": "NONE", "ApiGatewayMethodPublicendpointGet": "NONE", "ApiGatewayMethodPrivateendpointGet": "CUSTOM",
	} {
		if got := member(member(x.resources[name], "Properties"), "AuthorizationType"); got == nil || got.Value != authorization {
			t.Errorf("%s: authorization %v, want %s; there are %v", name, got, authorization, slices.Sorted(maps.Keys(x.resources)))
		}
	}
	sameEnvironment(t, text)
}

// sameEnvironment holds the functions against those of the SAM template: the same
// variables, but for what a parameter sets there.
func sameEnvironment(t *testing.T, text []byte) {
	t.Helper()
	var doc struct {
		Resources map[string]struct {
			Properties struct {
				Handler     string
				Environment struct{ Variables map[string]any }
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	x := load(t, nil)
	for sam, serverless := range map[string]string{"Auth": "AuthLambdaFunction", "Maintain": "MaintainLambdaFunction", "Authorizer": "AuthorizerLambdaFunction"} {
		want, got := x.function(t, sam), doc.Resources[serverless].Properties
		maps.DeleteFunc(want.env, func(_, value string) bool { return value == "" })
		names := slices.Sorted(maps.Keys(want.env))
		if got.Handler != want.handler || !slices.Equal(slices.Sorted(maps.Keys(got.Environment.Variables)), names) {
			t.Errorf("%s: handler %s with %v; by SAM %s with %v", serverless, got.Handler, got.Environment.Variables, want.handler, names)
		}
	}
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
