package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// isClient says whether a package is of the clients of AWS or PostgreSQL, which a process
// on SQLite has linked and does not use.
func isClient(name string) bool {
	return strings.HasPrefix(name, "github.com/aws/") || strings.HasPrefix(name, "github.com/jackc/")
}

// BenchmarkUnusedClients is what the clients of AWS and PostgreSQL add to a start. Two
// programs do nothing but import what latchkey does, one of them without the clients and
// what is built on them. They take turns; medians, -benchtime 60x makes 60 turns.
func BenchmarkUnusedClients(b *testing.B) {
	without, clients := imports(b)
	programs := []string{buildEmpty(b, without), buildEmpty(b, append(without, clients...))}
	var wall, cpu [2][]float64
	for b.Loop() {
		for i, bin := range programs {
			cmd := exec.Command(bin)
			begin := time.Now()
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
			wall[i] = append(wall[i], time.Since(begin).Seconds()*1000)
			cpu[i] = append(cpu[i], (cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Seconds()*1000)
		}
	}
	median := func(of []float64) float64 {
		slices.Sort(of)
		return of[len(of)/2]
	}
	b.ReportMetric(median(wall[0]), "without-ms")
	b.ReportMetric(median(wall[1])-median(wall[0]), "more-ms")
	b.ReportMetric(median(cpu[1])-median(cpu[0]), "more-cpu-ms")
	b.ReportMetric(0, "ns/op")
}

// imports are the packages in latchkey that a program may import, those of the clients apart.
// What is built on the clients is in neither.
func imports(b *testing.B) (without, clients []string) {
	b.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Name,Deps", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	listed, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	const own = "github.com/latchkey-auth/latchkey"
	for d := json.NewDecoder(bytes.NewReader(listed)); ; {
		var p struct {
			ImportPath, Name string
			Deps             []string
		}
		if err := d.Decode(&p); err == io.EOF {
			return without, clients
		} else if err != nil {
			b.Fatal(err)
		}
		parts := strings.Split(p.ImportPath, "/")
		switch {
		case p.Name == "main", p.ImportPath == "unsafe", parts[0] == "vendor":
		case slices.Contains(parts, "internal") && !strings.HasPrefix(p.ImportPath, own):
		case isClient(p.ImportPath):
			clients = append(clients, p.ImportPath)
		case !slices.ContainsFunc(p.Deps, isClient):
			without = append(without, p.ImportPath)
		}
	}
}

// buildEmpty makes a program of imports alone, as if it stood here: the packages of this
// module are internal, and nothing is written into the tree.
func buildEmpty(b *testing.B, packages []string) string {
	b.Helper()
	dir := b.TempDir()
	source := "package main\n\n"
	for _, name := range packages {
		source += fmt.Sprintf("import _ %q\n", name)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		b.Fatal(err)
	}
	main, overlay, bin := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	doc, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "empty", "main.go"): main}})
	if err == nil {
		err = os.WriteFile(overlay, doc, 0o600)
	}
	if err == nil {
		err = os.WriteFile(main, []byte(source+"\nfunc main() {}\n"), 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-trimpath", "-ldflags", "-s -w", "-o", bin, "./empty")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("building: %v: %s", err, said)
	}
	return bin
}
