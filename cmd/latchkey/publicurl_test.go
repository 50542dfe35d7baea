package main

import "testing"

// TestPublicURLs: links begin with it, and requests are found below it.
func TestPublicURLs(t *testing.T) {
	for _, good := range []string{"", "https://auth.example.com", "https://auth.example.com/", "http://127.0.0.1:8080", "https://example.com/auth", "https://example.com/auth/", "https://example.com/a/b"} {
		if err := checkPublicURL(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"auth.example.com", "ftp://auth.example.com", "https://", "https://user@auth.example.com", "https://auth.example.com?", "https://auth.example.com#",
		"https://auth.example.com?x=y", "https://auth.example.com#x", "https://auth.example.com//", "https://example.com/auth//", "https://example.com/a/../b",
		"https://example.com/./a", "https://example.com/a%2fb", "https://example.com//a",
	} {
		if checkPublicURL(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
