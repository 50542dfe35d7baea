//go:build !linux

package main

// sharedFileSystem is for Linux.
func sharedFileSystem(string) string { return "" }
