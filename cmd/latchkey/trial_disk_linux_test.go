package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// recoverWithin is how soon the service is itself again once there is space.
const recoverWithin = 5 * time.Second

// TestTrialDiskFull runs the service on a file system of its own, and fills that.
func TestTrialDiskFull(t *testing.T) {
	t.Parallel()
	bin, err := buildBootstraps()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.Command("/bin/sh", "-ec", `
		mount -t tmpfs -o size=3m,mode=700 tmpfs data
		"$LATCHKEY" init --data data >&2
		echo "correct horse battery" | "$LATCHKEY" users add --data data --username ada --password-stdin >&2
		exec "$LATCHKEY" serve --addr 127.0.0.1:0 --data data --public-url http://auth.example.com \
			--registration open --mail-from mail@example.com --limits off --log-level error`)}
	p.Dir = t.TempDir()
	mails := startSink(t)
	p.Env = append(cheapHash, "PATH="+os.Getenv("PATH"), "LATCHKEY_MAIL_URL="+mails.url, "LATCHKEY="+filepath.Join(bin, "latchkey"))
	if err := os.Mkdir(filepath.Join(p.Dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	// The mount is the process's own, and needs no rights outside.
	p.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := mountsAllowed(p.SysProcAttr); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no file system can be mounted: ", err)
		}
		t.Skip("NOT TESTED, a full disk: no file system can be mounted here: ", err)
	}
	p.launch(t)
	t.Cleanup(p.stop)
	s := newPatient(t, p, mails)
	disk := fmt.Sprintf("/proc/%d/root%s", p.Process.Pid, filepath.Join(p.Dir, "data"))
	s.must(t, http.StatusOK, s.url, "", "GET /readyz")
	for range inForm(1, 5) {
		s.register(t) // its mail is yet to go out
		s.fill(t, filepath.Join(disk, "filler"))
		s.suffer(t)
		s.awaitReadiness(t, s.url, http.StatusServiceUnavailable)
		s.suffer(t)
		if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
			t.Fatal(err)
		}
		freed := time.Now()
		s.awaitReadiness(t, s.url, http.StatusOK)
		took := time.Since(freed)
		t.Logf("%d registrations kept, %d refused; ready %v after there was space", len(s.kept), len(s.refused), took.Round(time.Millisecond))
		if fullTrial() && took > recoverWithin { // where the machine has nothing else to do
			t.Errorf("it took %v to recover, want %v", took, recoverWithin)
		}
	}
	s.recovered(t)
	// The database is read where it lies: with the process it would be gone.
	db, err := sql.Open("sqlite", filepath.Join(disk, "latchkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	checkSound(t, db)
}

func mountsAllowed(attr *syscall.SysProcAttr) error {
	dir, err := os.MkdirTemp("", "latchkey-mount-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	cmd := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// fill writes a file until no byte fits, and then lets the service use up the
// space that its log has already.
func (s *patient) fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	// The smallest writes there are: an event, and a count of events.
	for status := http.StatusUnauthorized; status == http.StatusUnauthorized || s.register(t) == http.StatusAccepted; {
		if ctx.Err() != nil {
			t.Fatal("the service goes on writing to a full disk")
		}
		answer, err := s.call(s.url, "", "POST /token/refresh", "refresh_token", "garbage")
		if err != nil {
			t.Fatal(err)
		}
		if status = answer.status; status != http.StatusUnauthorized {
			wantUnavailable(t, "POST /token/refresh", answer)
		}
	}
}
