//go:build !unix

package app

// checkSecretFile is for systems whose files have Unix modes.
func checkSecretFile(string) error { return nil }

func checkSecretDirectory(string) error { return nil }

// ExplainAccess is for systems whose files have owners by number.
func ExplainAccess(err error) error { return err }

// checkDatabaseFiles is for the same.
func checkDatabaseFiles(string) error { return nil }
