package minidyn_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// nodeFunction is the counterpart: what a function in Node.js does at least that keeps its
// data in DynamoDB. It reads one item by AWS's SDK at its first invocation.
const (
	nodeSDK      = "@aws-sdk/client-dynamodb@3.1169.0"
	nodeFunction = `'use strict'
const http = require('http')
const { DynamoDBClient, GetItemCommand } = require('@aws-sdk/client-dynamodb')
const client = new DynamoDBClient({})
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':')
const call = (method, path, body) => new Promise((resolve, reject) => {
  const request = http.request({ host, port, method, agent, path: '/2018-06-01/runtime/' + path }, (response) => {
    const parts = []
    response.on('data', (part) => parts.push(part))
    response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(parts).toString() }))
  })
  request.on('error', reject)
  request.end(body)
})
const handler = async () => {
  await client.send(new GetItemCommand({ TableName: 'latchkey', Key: { PK: { S: 'KEY' }, SK: { S: '1' } }, ConsistentRead: true }))
  return { statusCode: 200, body: 'ok' }
}
;(async () => {
  for (;;) {
    const next = await call('GET', 'invocation/next')
    const id = next.headers['lambda-runtime-aws-request-id']
    try {
      const answer = await handler(JSON.parse(next.body))
      await call('POST', 'invocation/' + id + '/response', JSON.stringify(answer))
    } catch (err) {
      await call('POST', 'invocation/' + id + '/error', JSON.stringify({ errorMessage: String(err) }))
    }
  }
})()
`
)

// A counterpart is a function whose cold starts are measured.
type counterpart struct {
	name, dir    string
	elapsed, cpu []float64 // ms
}

// coldStart runs the function until its first answer.
func (c *counterpart) coldStart(b *testing.B, env []string) {
	b.Helper()
	f := newLambda(b, c.dir, c.name, time.Minute, env...)
	defer f.stop()
	begin := time.Now()
	answer, err := f.invoke(b.Context(), []byte(`{"resource":"/{proxy+}","path":"/livez","httpMethod":"GET","headers":{"Host":"api.example"},`+
		`"requestContext":{"stage":"prod","requestId":"1","httpMethod":"GET","identity":{"sourceIp":"192.0.2.1"}}}`))
	elapsed := time.Since(begin)
	if err != nil {
		b.Fatal(err)
	}
	var said struct {
		StatusCode int `json:"statusCode"`
	}
	if err := json.Unmarshal(answer, &said); err != nil || said.StatusCode != http.StatusOK {
		b.Fatalf("%s answers %s", c.name, answer)
	}
	f.stop()
	c.elapsed = append(c.elapsed, elapsed.Seconds()*1000)
	used := f.process.ProcessState.UserTime() + f.process.ProcessState.SystemTime()
	c.cpu = append(c.cpu, used.Seconds()*1000)
}

// BenchmarkFirstAnswer is what a caller waits for when Lambda starts the function auth:
// from exec to the first answer. The program of `make lambda` takes turns with a function in
// Node.js on the same table of the emulator. Medians; -benchtime 25x makes 25 turns.
func BenchmarkFirstAnswer(b *testing.B) {
	_, endpoint := emulator(b)
	env := []string{"NODE_NO_WARNINGS=1", "PATH=" + os.Getenv("PATH"), "HOME=" + b.TempDir(), "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_ENDPOINT_URL_DYNAMODB=" + endpoint, "_HANDLER=auth", "LATCHKEY_STORE=dynamodb://latchkey", "LATCHKEY_PUBLIC_URL=https://api.example/prod",
		"LATCHKEY_MASTER_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32))}
	auth := &counterpart{name: "auth", dir: buildLambda(b)}
	node := &counterpart{name: "node", dir: installNode(b)}
	all := []*counterpart{auth, node}
	for _, c := range all { // makes the table, and fills the cache of files
		c.coldStart(b, env)
		c.elapsed, c.cpu = nil, nil
	}
	for b.Loop() {
		for _, c := range all {
			c.coldStart(b, env)
		}
	}
	for _, c := range all {
		b.ReportMetric(median(c.elapsed), c.name+"-ms")
		b.ReportMetric(median(c.cpu), c.name+"-cpu-ms")
	}
	b.ReportMetric(median(auth.elapsed)/median(node.elapsed), "of-node")
	b.ReportMetric(median(auth.cpu)/median(node.cpu), "of-node-cpu")
	b.ReportMetric(0, "ns/op")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// buildLambda is the directory of the bootstrap of `make lambda`.
func buildLambda(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	make := exec.Command("make", "lambda", "DIST="+dir, "ARCHS="+runtime.GOARCH)
	make.Dir = root
	if said, err := make.CombinedOutput(); err != nil {
		b.Fatalf("make lambda: %v: %s", err, said)
	}
	return filepath.Join(dir, "latchkey-"+runtime.GOARCH)
}

// installNode is a directory whose bootstrap is the function in Node.js.
func installNode(b *testing.B) string {
	b.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		b.Skip("node is not installed")
	}
	dir := b.TempDir()
	out, err := exec.Command("npm", "install", "--prefix", dir, "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", nodeSDK).CombinedOutput()
	if err != nil {
		b.Skipf("npm install %s: %v\n%s", nodeSDK, err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte("#!"+node+"\n"+nodeFunction), 0o755); err != nil {
		b.Fatal(err)
	}
	return dir
}
