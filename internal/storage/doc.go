// Package storage is what the auth service stores, and the port of the stores that
// keep it: [Store]. It knows no rules: what a user may do, and when a session ends, is
// package auth's. So a store sees what it keeps, and nothing of why.
//
// Start at [Store] and [Change]. Package storetest judges every store.
package storage
