package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestManyInitsMakeOneKey: 16 processes that begin at once on a directory that is
// not there yet all succeed, and there is one signing key.
func TestManyInitsMakeOneKey(t *testing.T) {
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	for range inForm(5, 50) {
		dir := t.TempDir()
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				cmd := exec.Command(filepath.Join(bin, "latchkey"), "init", "--data", "data")
				cmd.Dir = dir
				if said, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("init: %v: %s", err, said)
				}
			})
		}
		all.Wait()
		keys := runLatchkey(t, dir, nil, "", "keys", "list", "--data", "data", "--json")
		if n := strings.Count(keys, "\n"); n != 1 || !strings.Contains(keys, `"state":"active"`) {
			t.Fatalf("%d keys, want one that is active:\n%s", n, keys)
		}
	}
}
