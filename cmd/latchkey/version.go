package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (c *versionCmd) Run(p *process) error {
	version, revision := buildVersion()
	if c.JSON {
		return printJSON(p.stdout, map[string]string{"version": version, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	_, err := fmt.Fprintln(p.stdout, versionLine())
	return err
}

func versionLine() string {
	version, _ := buildVersion()
	return fmt.Sprintf("latchkey %s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion is what the Go tool has written into the program.
func buildVersion() (version, revision string) {
	version = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return version, revision
}
