package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestSharedFileSystemsAreNamed: the numbers are those of statfs(2).
func TestSharedFileSystemsAreNamed(t *testing.T) {
	for number, name := range map[int64]string{0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x517b: "SMB", 0x65735546: "FUSE or virtiofs", 0xef53: "", 0x01021994: "", 0x794c7630: ""} {
		if got := sharedFileSystems[number]; got != name {
			t.Errorf("%#x is %q, want %q", number, got, name)
		}
	}
	if got := sharedFileSystem("/proc"); got != "" {
		t.Errorf("/proc is %q", got)
	}
	for _, name := range []string{"", "NFS"} {
		var said bytes.Buffer
		warnFileSystem(slog.New(slog.NewTextHandler(&said, nil)), "data", name)
		if warned := strings.Contains(said.String(), "the data directory is on NFS"); warned != (name != "") {
			t.Errorf("%q: the log says %s", name, said.String())
		}
	}
}
