package hashworker

import "os"

// executable is this very program, also when another version has taken the
// place of its file, or none.
func executable() (string, error) { return "/proc/self/exe", nil }

// rename gives the worker the name that ps and top show; of executable it has
// the name exe.
func rename() { _ = os.WriteFile("/proc/self/comm", []byte("latchkey-hash"), 0) }
