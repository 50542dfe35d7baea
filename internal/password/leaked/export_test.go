package leaked

import "github.com/latchkey-auth/latchkey/internal/password/leaked/wordset"

var (
	Filter    = wordset.Set(filter)
	HasSuffix = hasSuffix
)
