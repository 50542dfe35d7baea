// Package auth is the domain: who may sign in, what a session is, when a
// password is right. Every rule lives here, once. It knows no HTTP, no SQL and
// no AWS; what it needs from outside are the ports [storage.Store],
// [storage.Loader], [Signer] and [Mailer], and the counters of package limit.
//
// Start at [Service.Login]: proof, then session, then token. docs/design.md says in
// which order to read the rest. Its promises:
//
//   - An unknown name, a wrong password and a disabled user get the same error
//     after the same work: as many hashes, the same reads and writes.
//   - An attempt counts as a failure from before its password is checked until it
//     has succeeded, in all processes.
//   - What a request changes (session opened, weak hash replaced, event written) is
//     one commit of guarded changes: all of it is stored or nothing.
//   - A store that cannot be reached is [storage.ErrUnavailable], never a refusal.
package auth
