// Package limit has the mechanics of limits on guessing: leaky buckets that attempts
// reserve from before the work, and an in-flight limit for each network. Which buckets
// an attempt has, and what their limits are, is up to those who use it.
//
// Buckets are kept by [Counters], and are right across processes. An attempt takes a
// reservation from each bucket that holds it, and is let through by one conditional
// write. Success gives the reservations back; failure leaves them there to leak out.
// When a bucket is full of reservations that may be given back, the attempt waits for
// some seconds, those of one process in the order of their age.
//
// Start reading at [Limiter.Reserve].
package limit
