package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestGuideWalk walks one person from registration to deletion, as the guide
// says, and holds every answer against the one that stands there.
func TestGuideWalk(t *testing.T) {
	t.Parallel()
	needsCommands(t)
	walk := examples(t, "../../docs/guide.md", "## 5. ")
	var all strings.Builder
	for _, e := range walk {
		fmt.Fprintln(&all, e.command)
	}
	for _, way := range []string{"$B/register ", "$B/email/verify ", "$B/login ", "$B/token/refresh ", "$B/me ", "$B/me/sessions ", "$B/password/change ",
		"$B/password/forgot ", "$B/password/reset ", "$B/email/change ", "-X POST $B/logout ", "-X DELETE $B/me "} {
		if !strings.Contains(all.String(), way) {
			t.Errorf("the walk does not go by %s", way)
		}
	}
	s := startShell(t, startProgram(t, t.TempDir(), cheapHash, "offline", "--addr", "127.0.0.1:0"))
	for _, e := range walk {
		s.check(t, e, matches)
	}
}

// TestReadme does the same with what the README begins with. It leaves out lines
// of long answers.
func TestReadme(t *testing.T) {
	t.Parallel()
	needsCommands(t)
	first := examples(t, "../../README.md", "# latchkey")
	if len(first) < 6 || first[0].command != "go run ./cmd/latchkey offline" {
		t.Fatalf("the README begins with %q", first)
	}
	p := startProgram(t, t.TempDir(), cheapHash, "offline", "--addr", "127.0.0.1:0")
	s := startShell(t, p)
	if shown := s.at.Replace(first[0].shown); !matchesLines(shown, p.said) {
		t.Errorf("%s: the program says\n%s\nwhere it stands\n%s", first[0].place, p.said, shown)
	}
	token := ""
	for _, e := range first[1:] {
		e.command = strings.ReplaceAll(e.command, "eyJ…", token) // which the reader copies
		said := s.check(t, e, matchesLines)
		token = regexp.MustCompile(`eyJ[^"]*|$`).FindString(said)
	}
}

// TestGuideProgram builds the program of the guide that verifies tokens itself, and runs it
// beside offline.
func TestGuideProgram(t *testing.T) {
	t.Parallel()
	needsCommands(t)
	const guide = "../../docs/guide.md"
	doc, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindSubmatch(doc)
	asked := examples(t, guide, "## 3. ")
	if source == nil || len(asked) == 0 {
		t.Fatalf("%s has no program, or says not how to ask it", guide)
	}
	api := freePort(t)
	s := startShell(t, startProgram(t, t.TempDir(), cheapHash, "offline", "--addr", "127.0.0.1:0"), "127.0.0.1:3000", api, "localhost:3000", api)
	startSource(t, s.at.Replace(string(source[1])), api)
	for _, e := range asked {
		s.check(t, e, matches)
	}
}

// startSource builds and starts a Go program that listens at the address.
func startSource(t *testing.T, source, addr string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("building it: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "program"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("it ended, or did not listen in time")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// check runs an example, and returns what it says.
func (s *shell) check(t *testing.T, e example, matches func(shown, got string) bool) string {
	t.Helper()
	said, status := s.run(t, e.command)
	if shown := s.at.Replace(e.shown); status != "0" || !matches(shown, said) {
		t.Errorf("%s: %s\nends with status %s, and says\n%s\nwhere it stands\n%s", e.place, e.command, status, said, shown)
	}
	return said
}

// An example is a command of a document and what is shown below it.
type example struct{ place, command, shown string }

// examples returns those of the console blocks between a heading and the next one.
func examples(t *testing.T, file, heading string) (all []example) {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	section, console := false, false
	continued := false
	for i, line := range strings.Split(string(doc), "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			console = section && line == "```console"
			continued = false
		case !console && strings.HasPrefix(line, "#"):
			section = strings.HasPrefix(line, heading)
		case !console:
		case continued:
			all[len(all)-1].command += "\n" + line
			continued = strings.HasSuffix(line, `\`)
		case strings.HasPrefix(line, "$ "):
			all = append(all, example{place: fmt.Sprintf("%s:%d", file, i+1), command: line[len("$ "):]})
			continued = strings.HasSuffix(line, `\`)
		case len(all) == 0:
			t.Fatalf("%s:%d: there is no command above", file, i+1)
		default:
			all[len(all)-1].shown += line + "\n"
		}
	}
	return all
}

// matches compares with what is shown, where "…" stands for anything. White space
// at the ends is nobody's concern.
func matches(shown, got string) bool {
	expr := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(shown)), "…", ".*")
	return regexp.MustCompile(`^(?s:` + expr + `)$`).MatchString(strings.TrimSpace(got))
}

// matchesLines is matches for what is shown without some of its lines.
func matchesLines(shown, got string) bool {
	if strings.TrimSpace(shown) == "" {
		return matches(shown, got)
	}
	var exprs []string
	for line := range strings.Lines(strings.TrimSpace(shown)) {
		if line != "…\n" {
			exprs = append(exprs, strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(line)), "…", ".*"))
		}
	}
	return regexp.MustCompile(`(?m)^\s*` + strings.Join(exprs, `$\n(?:.*\n)*?\s*`) + `$`).MatchString(got)
}

// shell is a bash in which commands run one after the other.
type shell struct {
	in  io.Writer
	out *bufio.Reader
	at  *strings.Replacer // puts the program's address in the place of the documents'
}

// startShell starts a shell for the program, and for other places of the documents, each
// before the one that it stands for.
func startShell(t *testing.T, p *program, places ...string) *shell {
	t.Helper()
	addr := strings.TrimPrefix(p.url, "http://")
	s := &shell{at: strings.NewReplacer(append(places, "127.0.0.1:4000", addr, "localhost:4000", addr)...)}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout) // or a quote that does not end would wait for ever
	cmd := exec.CommandContext(ctx, "bash")
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	s.in, s.out = in, bufio.NewReader(out)
	return s
}

// run runs a command and returns what it says and its exit status.
func (s *shell) run(t *testing.T, command string) (said, status string) {
	t.Helper()
	const end = "\x1e" // stands before the status
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null 2>&1; printf '\\n%s%%d\\n' $?\n", s.at.Replace(command), end); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s\ndoes not end: %v", command, err)
		}
		if status, ok := strings.CutPrefix(line, end); ok {
			return said, strings.TrimSpace(status)
		}
		said += strings.ReplaceAll(line, "\r\n", "\n")
	}
}

// needsCommands skips the test where the documents' commands cannot be run.
func needsCommands(t *testing.T) {
	t.Helper()
	for _, name := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("needs what the documents' commands are made of: ", err)
		}
	}
}
