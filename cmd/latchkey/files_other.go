//go:build !unix

package main

// checkSecretFile is for systems whose files have Unix modes.
func checkSecretFile(string) error { return nil }
