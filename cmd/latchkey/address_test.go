package main

import "testing"

func TestOnlyLoopbackIsTaken(t *testing.T) {
	for addr, good := range map[string]bool{
		"127.0.0.1:4000": true, "127.8.9.1:0": true, "[::1]:4000": true, "localhost:4000": true,
		"0.0.0.0:4000": false, ":4000": false, "[::]:4000": false, "192.0.2.1:4000": false, "127.0.0.1": false, "": false,
	} {
		if err := checkLoopback(t.Context(), addr); (err == nil) != good {
			t.Errorf("checkLoopback(%q): %v", addr, err)
		}
	}
}
