//go:build !linux

package app

// sharedFileSystem is for Linux.
func sharedFileSystem(string) string { return "" }
