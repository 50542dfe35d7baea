//go:build !unix

package main

// checkSecretFile is for systems whose files have Unix modes.
func checkSecretFile(string) error { return nil }

func checkSecretDirectory(string) error { return nil }

// explainAccess is for systems whose files have owners by number.
func explainAccess(err error) error { return err }

// checkDatabaseFiles is for the same.
func checkDatabaseFiles(string) error { return nil }
