//go:build !linux

package hashworker

import "os"

func executable() (string, error) { return os.Executable() }

func beWorker() {}

func keepFiles() {}
