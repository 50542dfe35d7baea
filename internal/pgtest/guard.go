package pgtest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// A guard is a shell that ends a program when its own standard input ends: when it is
// told to, or this process is gone. Then it removes the directory, unless it is to keep
// it. A guard that nobody refers to any more ends its program.
type guard struct {
	dir string
	cmd *exec.Cmd
	in  io.WriteCloser
}

// Signals to the whole group, such as that of Ctrl-C, reach the tests, whose end it waits
// for.
const guardScript = `
trap '' INT TERM HUP
program=$1 dir=$2; shift 2
"$program" "$@" </dev/null & child=$!
read -r last
kill -INT $child 2>/dev/null
wait $child
[ "$last" = keep ] || rm -rf "$dir"`

// guarded starts a program in a directory, where it logs.
func guarded(dir, program string, args ...string) (*guard, error) {
	g := &guard{dir: dir, cmd: exec.Command("/bin/sh", append([]string{"-c", guardScript, "guard", program, dir}, args...)...)}
	if err := unprivileged(g.cmd, dir); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g.cmd.Stdout, g.cmd.Stderr = log, log // a file: nobody waits for those who inherit it
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return g, g.cmd.Start()
}

func (g *guard) end(keep bool) {
	if keep {
		_, _ = io.WriteString(g.in, "keep\n")
	}
	g.in.Close()
	_ = g.cmd.Wait()
}
