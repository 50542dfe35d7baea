package leaked

import "github.com/latchkey-auth/latchkey/internal/leaked/wordset"

var (
	Filter    = wordset.Set(filter)
	HasSuffix = hasSuffix
)
