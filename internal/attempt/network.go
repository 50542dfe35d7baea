package attempt

import (
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
)

// wider are the networks of IPv6 that count besides the /64: providers give sites a /56
// or a /48, which hold 256 and 65,536 of them. Each takes so many percent of the failures
// that a /64 takes.
var wider = []struct{ bits, percent int }{
	{56, 125},
	{48, 150},
}

// scaled is a limit that takes so many percent of the attempts, and forgets them in the
// same time.
func scaled(l limit.Limit, percent int) limit.Limit {
	l.Free, l.Fade = l.Free*percent/100, l.Fade*100/time.Duration(percent)
	return l
}

// networks are the buckets of the client's network, and of IPv6 of those that it lies in.
func (r Rules) networks(kind, address string, l limit.Limit) []limit.Bucket {
	all := r.buckets(kind, Network(address), l)
	for _, w := range wider {
		if wide, ok := prefix(address, w.bits); ok {
			all = append(all, r.bucket(kind, wide, scaled(l, w.percent)))
		}
	}
	return all
}

// Network is what one client has of addresses: of IPv6 a whole /64. All whose address is
// unknown are one client, "": not to be known must be no way past limits.
func Network(address string) string { return networkOf(address, 64) }

// site is what counts as one network at an account: of IPv6 a whole /48.
func site(address string) string { return networkOf(address, 48) }

func networkOf(address string, bits int) string {
	if wide, ok := prefix(address, bits); ok {
		return wide
	}
	if ip, err := netip.ParseAddr(address); err == nil {
		return ip.Unmap().String()
	}
	return address
}

// prefix is the network of an address of IPv6.
func prefix(address string, bits int) (string, bool) {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return "", false
	}
	p, err := ip.WithZone("").Prefix(bits)
	return p.String(), err == nil
}
