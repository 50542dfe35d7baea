package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestStartOfUnusedClients: what the clients of AWS and PostgreSQL prepare before main is
// paid at every start. Allocations stand for the time, which depends on the machine: with
// 5,400 of them it is some 3 ms, goal 5. One service of the SDK can bring 3,000 more.
func TestStartOfUnusedClients(t *testing.T) {
	const most = 6500
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "latchkey"), "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("latchkey --version: %v: %s", err, said)
	}
	sum, largest := 0, ""
	for line := range strings.Lines(string(said)) {
		var name string
		var at, clock float64
		var bytes, allocations int
		if n, _ := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &name, &at, &clock, &bytes, &allocations); n != 5 {
			continue
		}
		if !isClient(name) {
			continue
		}
		sum += allocations
		if allocations > 500 {
			largest += fmt.Sprintf("\n%6d %s", allocations, name)
		}
	}
	if sum == 0 {
		t.Fatalf("no client is in the trace:\n%s", said)
	}
	if t.Logf("%d allocations:%s", sum, largest); sum > most {
		t.Errorf("%d allocations before main, more than %d", sum, most)
	}
}

// TestOneCommandIsLikeAll: the help of a command is the same whether its tags alone have
// been read or those of all commands, as they are after a flag.
func TestOneCommandIsLikeAll(t *testing.T) {
	help := func(args ...string) string {
		var out bytes.Buffer
		if code := run(t.Context(), append(args, "--help"), strings.NewReader(""), &out, &out); code != 0 {
			t.Fatalf("%v: exit status %d: %s", args, code, out.String())
		}
		return out.String()
	}
	commands := 0
	for i, all := 0, reflect.TypeFor[cli](); i < all.NumField(); i++ {
		field := all.Field(i)
		if field.Type == reflect.TypeFor[commonFlags]() {
			continue
		}
		commands++
		name := strings.ToLower(field.Name)
		if grammar, _ := new(cli).grammar([]string{name}); reflect.TypeOf(grammar) != reflect.TypeFor[*commonFlags]() {
			t.Errorf("for %s all commands are read", name)
		}
		if one, all := help(name), help("--log-level=info", name); one != all {
			t.Errorf("the help of %s differs:\n%s\n%s", name, one, all)
		}
	}
	if commands < 10 {
		t.Errorf("%d commands", commands)
	}
}
