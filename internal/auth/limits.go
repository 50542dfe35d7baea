package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Limits are what stands against guessing and against mail bombs. What counts is failures,
// and every request that may send a mail: under the account that was meant, however it was
// spelled and whether it exists or not, and under the client's address.
type Limits struct {
	// Account is of the failures at one account from one network, and of those of its
	// owner who is signed in, or who types codes.
	Account limit.Limit
	// Total is of the failures at one account from all networks that it does not know.
	// Networks that have not failed there draw on Reserve when it is full: strangers
	// who guess on do not spend the owner's tries.
	Total, Reserve limit.Limit
	// Address is of what one network fails at all accounts that do not know it.
	Address limit.Limit
	// Unissued is of tokens and links that were never issued, from one client address.
	// They count under Address as well. What is good gets through all the same, so few
	// are free. It is also of requests for what is not to be had here.
	Unissued limit.Limit
	// Mail is of the requests that may send mail to one address.
	Mail limit.Limit
	// Alarm is of all clients together, once for failures and once for requests for
	// mail. It does not make anybody wait: that would let a stranger lock everybody
	// out. While more than Free count, the others have a quarter of theirs free.
	Alarm limit.Limit
}

// DefaultLimits let a person mistype a password a few times, and all machines together
// guess about a hundred a day at one account.
var DefaultLimits = Limits{
	Account:  limit.Limit{Free: 5, First: 5 * time.Second, Longest: 15 * time.Minute, Fade: 15 * time.Minute},
	Total:    limit.Limit{Free: 5, First: 5 * time.Second, Longest: 30 * time.Minute, Fade: 30 * time.Minute},
	Reserve:  limit.Limit{Free: 20, First: time.Hour, Longest: time.Hour, Fade: time.Hour},
	Address:  limit.Limit{Free: 30, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Unissued: limit.Limit{Free: 8, First: time.Second, Longest: 5 * time.Minute, Fade: time.Minute},
	Mail:     limit.Limit{Free: 5, First: time.Minute, Longest: time.Hour, Fade: time.Hour},
	Alarm:    limit.Limit{Free: 300, Fade: time.Second},
}

// reserve takes the reservations of an attempt. An outage ends its wait. *LimitError,
// ErrUnavailable.
func (s *Service) reserve(ctx context.Context, a limit.Attempt) (*limit.Reservation, error) {
	if s.Limits == nil {
		return nil, nil
	}
	ctx, done := s.outages.watch(ctx)
	defer done()
	return s.limiter.Reserve(ctx, a)
}

// loginAttempt is an attempt at an account, of a user or of a name that nobody has. From a
// network that the account knows it is held to a bucket of its own: failures of neighbours
// at other accounts, and of strangers at this one, do not hold it up. Its own failures count
// for the network as well.
func (s *Service) loginAttempt(account string, n knownNetwork, c Client) limit.Attempt {
	if s.Limits == nil {
		return limit.Attempt{}
	}
	a := limit.Attempt{Network: "strangers " + site(c.Address), Alarm: s.alarm("alarm")}
	if n.known {
		a.Hold = s.buckets("account", "home "+n.where+" "+account, s.Limits.Account)
		a.Count = s.networks("address", c, s.Limits.Address)
		return a
	}
	total, reserve := s.bucket("total", account, s.Limits.Total), s.bucket("reserve", account, s.Limits.Reserve)
	a.Hold = append(s.buckets("account", site(c.Address)+" "+account, s.Limits.Account), s.networks("address", c, s.Limits.Address)...)
	a.Total, a.Reserve = &total, &reserve
	return a
}

// confirmAttempt is an attempt of a user who is signed in. It counts apart from logins
// and from the address: whoever guesses there must not keep the owner, who is signed in,
// from changing the password.
func (s *Service) confirmAttempt(user storage.User, c Client) limit.Attempt {
	a := s.signedIn(c)
	if s.Limits != nil {
		a.Hold = s.buckets("account", "signed in "+string(user.ID), s.Limits.Account)
	}
	return a
}

// signedIn is an attempt of somebody who has proved who they are. It counts nothing.
// Strangers in the same network are not in its way.
func (s *Service) signedIn(c Client) limit.Attempt {
	return limit.Attempt{Network: "signed in " + site(c.Address)}
}

// codeAttempt counts codes under the address that they were mailed to.
func (s *Service) codeAttempt(r TicketRequest) limit.Attempt {
	if s.Limits == nil {
		return limit.Attempt{}
	}
	a := limit.Attempt{Network: "strangers " + site(r.Client.Address), Alarm: s.alarm("alarm")}
	if key, err := EmailKey(r.Email); err == nil {
		a.Hold = s.buckets("account", "code "+key, s.Limits.Account)
	}
	a.Hold = append(a.Hold, s.networks("address", r.Client, s.Limits.Address)...)
	return a
}

// goodLink is an attempt with a link that opens its ticket: nobody can guess it, and no
// failure is in its way. There is one at a time for each ticket.
func (s *Service) goodLink(t storage.Ticket, c Client) limit.Attempt {
	a := s.signedIn(c)
	if s.Limits != nil {
		a.Hold = s.buckets("ticket", string(t.ID), limit.Limit{Free: 1, First: time.Second, Longest: time.Second, Fade: 30 * time.Second})
	}
	return a
}

// unissuedAttempt is an attempt with a token or link that was never issued: see Limits.
func (s *Service) unissuedAttempt(c Client) limit.Attempt {
	if s.Limits == nil {
		return limit.Attempt{}
	}
	return limit.Attempt{
		Network: "unissued " + site(c.Address), Alarm: s.alarm("alarm"),
		Hold: append(s.networks("address", c, s.Limits.Address), s.networks("unissued", c, s.Limits.Unissued)...),
	}
}

// countUnissued counts a token or link that was never issued. *LimitError.
func (s *Service) countUnissued(ctx context.Context, c Client) error {
	return s.count(ctx, s.unissuedAttempt(c))
}

// count has an attempt count that needs no work. *LimitError.
func (s *Service) count(ctx context.Context, a limit.Attempt) error {
	reservation, err := s.reserve(ctx, a)
	if err != nil {
		return err
	}
	defer reservation.Release()
	return reservation.Failed(ctx)
}

// closedAttempt is a request for what is not to be had here. It is no failure: many may
// not know.
func (s *Service) closedAttempt(c Client) limit.Attempt {
	if s.Limits == nil {
		return limit.Attempt{}
	}
	return limit.Attempt{Network: "strangers " + site(c.Address), Hold: s.networks("unissued", c, s.Limits.Unissued)}
}

// mailAttempt is a request that may send mail to the address of the key. It counts apart
// from failures: many who register from one office keep nobody there from logging in.
func (s *Service) mailAttempt(emailKey string, c Client) limit.Attempt {
	if s.Limits == nil {
		return limit.Attempt{}
	}
	return limit.Attempt{
		Network: "strangers " + site(c.Address), Alarm: s.alarm("mail alarm"),
		Hold: append(s.buckets("mail to", emailKey, s.Limits.Mail), s.networks("mail for", c, s.Limits.Address)...),
	}
}

// notified makes the attempt one that tells the user by mail: as such it counts apart
// from requests that anybody can make.
func (s *Service) notified(a limit.Attempt, user storage.User) limit.Attempt {
	if s.Limits != nil && s.SendsMail && user.Email != "" {
		a.Hold = append(a.Hold, s.bucket("notice to", string(user.ID), s.Limits.Mail))
	}
	return a
}

// bucket is where attempts at the name count. Its key is a MAC: people type passwords
// where names belong.
func (s *Service) bucket(kind, name string, l limit.Limit) limit.Bucket {
	mac := hmac.New(sha256.New, s.RefreshKey)
	mac.Write([]byte("limit " + kind + " " + name))
	return limit.Bucket{Key: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]), Limit: l}
}

func (s *Service) buckets(kind, name string, l limit.Limit) []limit.Bucket {
	return []limit.Bucket{s.bucket(kind, name, l)}
}

func (s *Service) alarm(name string) *limit.Bucket {
	if s.Limits.Alarm.Free == 0 {
		return nil
	}
	alarm := s.bucket(name, "", s.Limits.Alarm)
	return &alarm
}

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
func (s *Service) networks(kind string, c Client, l limit.Limit) []limit.Bucket {
	all := s.buckets(kind, network(c.Address), l)
	for _, w := range wider {
		if wide, ok := prefix(c.Address, w.bits); ok {
			all = append(all, s.bucket(kind, wide, scaled(l, w.percent)))
		}
	}
	return all
}

// network is what one client has of addresses: of IPv6 a whole /64. All whose address is
// unknown are one client, "": not to be known must be no way past limits.
func network(address string) string { return networkOf(address, 64) }

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

// accountOf names the account that a login means: the user, however addressed,
// or what was typed, in the form in which names are looked up. Failures count for
// the password that was guessed at: whoever has set a new one begins anew.
func accountOf(user storage.User, typed string) string {
	if user.ID != "" {
		return "id " + string(user.ID) + " " + base64.RawStdEncoding.EncodeToString(hashSecret([]byte(user.PasswordHash)))
	}
	if key, err := UsernameKey(typed); err == nil {
		return "name " + key
	}
	if key, err := EmailKey(typed); err == nil {
		return "email " + key
	}
	return "other " + typed
}
