//go:build !remote

package main

import "github.com/latchkey-auth/latchkey/internal/awslambda"

// remote is empty: this bootstrap makes no connection but to its runtime, and links no
// net/http.
var remote awslambda.Remote
