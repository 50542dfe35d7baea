package jwks_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/http1"
	"github.com/latchkey-auth/latchkey/jwks"
)

func TestPublicAddresses(t *testing.T) {
	for text, public := range map[string]bool{
		"1.1.1.1":                   true,
		"93.184.216.34":             true,
		"172.15.255.255":            true,
		"172.32.0.1":                true,
		"223.255.255.255":           true,
		"2606:4700:4700::1111":      true,
		"2a00:1450:4001::1":         true,
		"64:ff9b::101:101":          true, // NAT64 of 1.1.1.1
		"::ffff:1.1.1.1":            true,
		"2001:200::1":               true,
		"0.0.0.0":                   false,
		"0.1.2.3":                   false,
		"10.0.0.1":                  false,
		"100.64.0.1":                false,
		"127.0.0.1":                 false,
		"127.255.255.254":           false,
		"169.254.169.254":           false,
		"172.16.0.1":                false,
		"172.31.255.255":            false,
		"192.0.0.170":               false,
		"192.0.2.1":                 false,
		"192.88.99.1":               false,
		"192.168.1.1":               false,
		"198.18.0.1":                false,
		"198.51.100.1":              false,
		"203.0.113.1":               false,
		"224.0.0.1":                 false,
		"240.0.0.1":                 false,
		"255.255.255.255":           false,
		"::":                        false,
		"::1":                       false,
		"::ffff:127.0.0.1":          false, // mapped
		"::ffff:169.254.169.254":    false,
		"::ffff:10.0.0.1":           false,
		"::7f00:1":                  false, // IPv4-compatible
		"64:ff9b::7f00:1":           false, // NAT64 of 127.0.0.1
		"64:ff9b::a9fe:a9fe":        false, // NAT64 of 169.254.169.254
		"64:ff9b::a00:1":            false, // NAT64 of 10.0.0.1
		"64:ff9b:1::101:101":        false, // NAT64 of one network
		"100::1":                    false,
		"2001::1":                   false, // Teredo
		"2001:2::1":                 false,
		"2001:db8::1":               false,
		"2002:7f00:1::":             false, // 6to4 of 127.0.0.1
		"3fff::1":                   false,
		"fc00::1":                   false,
		"fd00:ec2::254":             false,
		"fe80::1":                   false,
		"fe80::1%eth0":              false,
		"fec0::1":                   false,
		"ff02::1":                   false,
		"5f00::1":                   false,
		"fe80::ffff:1.1.1.1":        false,
		"0:0:0:0:0:ffff:c0a8:101":   false,
		"2606:4700:4700::1111%eth0": true,
		"::ffff:0:127.0.0.1":        false, // translated
		"64:ff9b::255.255.255.255":  false,
		"64:ff9b:0:1::1.1.1.1":      false,
		"2001:1ff:ffff::1":          false,
		"2002:101:101::1":           false,
		"2620:4f:8000::1":           true,
		"2001:4860:4860::8888":      true,
		"::ffff:93.184.216.34":      true,
		"::ffff:192.168.0.1":        false,
		"64:ff9b::93.184.216.34":    true,
		"64:ff9b::192.168.0.1":      false,
		"192.0.1.1":                 true,
		"100.63.255.255":            true,
		"100.128.0.1":               true,
		"169.253.255.255":           true,
		"198.17.255.255":            true,
		"198.20.0.1":                true,
		"192.88.98.1":               true,
		"11.0.0.1":                  true,
		"9.255.255.255":             true,
		"128.0.0.1":                 true,
		"126.255.255.255":           true,
		"2001:0:53aa:64c::1":        false,
		"1fff:ffff::1":              false,
		"4000::1":                   false,
		"2000::1":                   true,
		"3ffe:ffff::1":              true,
		"3fff:1000::1":              true,
		"2003::1":                   true,
		"2001:db9::1":               true,
		"2001:db7:ffff::1":          true,
		"::ffff:8.8.8.8":            true,
		"fd12:3456:789a::1":         false,
		"::ffff:100.100.100.200":    false, // a cloud's metadata
		"64:ff9b::100.100.100.200":  false,
		"::2":                       false,
		"::fffe:1.1.1.1":            false,
		"0:0:0:0:ffff:0:1.1.1.1":    false,
		"febf:ffff::1":              false,
		"fdff:ffff::1":              false,
		"2001:20::1":                false,
		"2001:3::1":                 false,
		"2001:10::1":                false,
		"223.0.0.1":                 true,
		"192.167.255.255":           true,
		"192.169.0.1":               true,
	} {
		if got := jwks.IsPublic(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s is public: %v", text, got)
		}
	}
}

func TestFreshness(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []string
		want   time.Duration
	}{
		{"nothing", nil, 5 * time.Minute},
		{"no max-age", []string{"Cache-Control", "public, must-revalidate"}, 5 * time.Minute},
		{"max-age", []string{"Cache-Control", "max-age=600"}, 10 * time.Minute},
		{"among others", []string{"Cache-Control", "public, max-age=600, must-revalidate, no-transform"}, 10 * time.Minute},
		{"in capitals", []string{"Cache-Control", "Public,MAX-AGE=600"}, 10 * time.Minute},
		{"in a second header", []string{"Cache-Control", "public", "Cache-Control", "max-age=600"}, 10 * time.Minute},
		{"less what has passed", []string{"Cache-Control", "max-age=600", "Age", "120"}, 8 * time.Minute},
		{"all has passed", []string{"Cache-Control", "max-age=600", "Age", "700"}, time.Minute},
		{"a broken Age", []string{"Cache-Control", "max-age=600", "Age", "-5"}, 10 * time.Minute},
		{"zero", []string{"Cache-Control", "max-age=0"}, time.Minute},
		{"too little", []string{"Cache-Control", "max-age=5"}, time.Minute},
		{"too much", []string{"Cache-Control", "max-age=31536000"}, time.Hour},
		{"beyond all numbers", []string{"Cache-Control", "max-age=99999999999999999999"}, 5 * time.Minute},
		{"negative", []string{"Cache-Control", "max-age=-1"}, 5 * time.Minute},
		{"no number", []string{"Cache-Control", "max-age=ten"}, 5 * time.Minute},
		{"quoted", []string{"Cache-Control", `max-age="600"`}, 5 * time.Minute},
		{"not to be kept", []string{"Cache-Control", "no-store, max-age=600"}, time.Minute},
		{"not to be kept, said last", []string{"Cache-Control", "max-age=600, no-cache"}, time.Minute},
		{"for shared caches", []string{"Cache-Control", "s-maxage=600"}, 5 * time.Minute},
	} {
		var h http1.Header
		for i := 0; i < len(c.header); i += 2 {
			h = append(h, http1.Field{Name: c.header[i], Value: c.header[i+1]})
		}
		if got := jwks.Freshness(h, time.Hour); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzFreshness: the answer is within the bounds for every header of an issuer.
func FuzzFreshness(f *testing.F) {
	f.Add("max-age=600, public", "10")
	f.Add("no-store", "")
	f.Add(`max-age="1",,=`, "-1")
	f.Fuzz(func(t *testing.T, control, age string) {
		h := http1.Header{{Name: "Cache-Control", Value: control}, {Name: "Age", Value: age}}
		if got := jwks.Freshness(h, time.Hour); got < jwks.MinFresh || got > time.Hour {
			t.Errorf("Cache-Control %q, Age %q: %s", control, age, got)
		}
	})
}
