// Package app makes running parts of settings: the same ones for serve, offline, the
// functions on Lambda and the commands. It knows no terminal, and reads no flags and no
// variables; cmd/latchkey fills its settings in and prints. Rules are in the domain, in
// package auth.
package app
