package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/latchkey-auth/latchkey/internal/fetch"
)

var errPrivate = errors.New("not a public address; allow it by AllowPrivate if the issuer is in your own network")

// newFetch returns what sends requests. It dials what it may and nothing else: the address
// is checked when it is dialled, because what a name stands for is its owner's choice, and
// can change between two look-ups. It has no proxy, which would be dialled in the issuer's
// place, unchecked, and keeps no connection: the next fetch is minutes away.
func newFetch(allowPrivate bool) fetch.Func {
	var client fetch.Client
	if !allowPrivate {
		client.Control = dialPublic
	}
	return client.Fetch
}

func dialPublic(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if !isPublic(at.Addr()) {
		return fmt.Errorf("%s is %w", at.Addr(), errPrivate)
	}
	return nil
}

// notPublic are the ranges of IPv4 that lead to no server on the internet, after
// the IANA special-purpose registry (RFC 6890).
var notPublic = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // shared by carriers
	"127.0.0.0/8",     // this machine
	"169.254.0.0/16",  // link-local: the clouds' metadata
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/3",     // multicast, reserved, broadcast
)

var (
	// nat64 holds an IPv4 address in its last four bytes (RFC 6052): where there is
	// IPv6 alone, all IPv4 servers are reached so.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// global is what IANA has given out of IPv6; the rest is private, local,
	// multicast, or IPv4 in another dress.
	global = netip.MustParsePrefix("2000::/3")
	// notPublic6 are the exceptions in it.
	notPublic6 = prefixes(
		"2001::/23",     // protocol assignments: Teredo, benchmarks, ORCHID
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: any IPv4 address, also a private one
		"3fff::/20",     // documentation
	)
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// isPublic reports whether the address is one of a server on the internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is4() {
		return !contains(notPublic, a)
	}
	return global.Contains(a) && !contains(notPublic6, a)
}

func contains(ranges []netip.Prefix, a netip.Addr) bool {
	for _, r := range ranges {
		if r.Contains(a) {
			return true
		}
	}
	return false
}

// isPrivateLiteral tells early what the dialler would refuse.
func isPrivateLiteral(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && !isPublic(a)
}

// isThisMachine takes loopback addresses and the one name for them.
func isThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}
