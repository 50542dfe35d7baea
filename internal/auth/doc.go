// Package auth is the domain: who may sign in, what a session is, when a
// password is right. Every rule lives here, once. It knows no HTTP, no SQL and
// no AWS; what it needs from outside are the ports [Store] and [Signer].
//
// Start at [Service.Login]. Its promises:
//
//   - An unknown name, a wrong password and a disabled user get the same error
//     after the same work (one password hash, one write).
//   - What a login changes (session opened, weak hash replaced, event written)
//     is one [Batch]: all of it is stored or nothing.
//   - A store that cannot be reached is [ErrUnavailable], never a refusal.
package auth
