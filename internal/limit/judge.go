package limit

import "time"

// A finding is what the counts mean for an attempt.
type finding struct {
	takes []Take
	taken bool   // the attempt has its reservations
	busy  string // the key of a bucket in which others are under way; empty: none
	alarm Count  // as it was read
}

// A judge finds out whether an attempt may take.
type judge struct {
	attempt Attempt
	counts  map[string]Count
	now, at time.Time
	ahead   func(key string) bool // others have waited longer for it
}

// A verdict is what one bucket says to the attempt.
type verdict struct {
	key  string
	take Take
	busy bool          // the attempt has to wait for others that are under way
	wait time.Duration // the bucket is full of failures for so long
}

func (v verdict) free() bool { return !v.busy && v.wait == 0 }

// judge returns an *[Error] when a bucket is full of failures: of several, the one that
// takes longest.
func (j *judge) judge() (finding, error) {
	var found finding
	refused := new(Error)
	for _, v := range j.verdicts() {
		switch {
		case v.free():
			found.takes = append(found.takes, v.take)
		case v.busy && found.busy == "":
			found.busy = v.key
		case v.wait > refused.RetryAfter:
			refused = &Error{v.wait, v.key}
		}
	}
	if refused.RetryAfter > 0 {
		return finding{}, refused
	}
	return found, nil
}

// verdicts are those of the buckets that the attempt needs.
func (j *judge) verdicts() []verdict {
	a, limited := j.attempt, func(l Limit) Limit { return l }
	if a.Alarm != nil && a.Alarm.Limit.over(j.counts[a.Alarm.Key], j.now) >= 0 {
		limited = Limit.tightened
	}
	var all []verdict
	for _, b := range a.Hold {
		all = append(all, j.ask(b.Key, limited(b.Limit)))
	}
	if a.Total == nil {
		return all
	}
	total := j.ask(a.Total.Key, limited(a.Total.Limit))
	if total.free() || a.Reserve == nil || len(a.Hold) == 0 {
		return append(all, total)
	}
	return j.orReserve(all, total)
}

// orReserve adds the reserve to the verdicts in place of a total that is full, for a
// network that has not failed.
func (j *judge) orReserve(holds []verdict, total verdict) []verdict {
	own := j.attempt.Hold[0]
	c := j.counts[own.Key]
	failed := own.Limit.level(c, j.now) - float64(c.Reserved)
	switch {
	case forgotten(c, j.now) && failed < 0.5:
	case total.wait > 0 && failed < 0.5 && c.UnderWay(j.now):
		// The network draws on the reserve already, and may be let do so again.
		return append(holds, verdict{key: own.Key, busy: true})
	default:
		return append(holds, total)
	}
	reserve := j.ask(j.attempt.Reserve.Key, j.attempt.Reserve.Limit)
	if !reserve.free() && (total.busy || !reserve.busy && total.wait < reserve.wait) {
		return append(holds, total)
	}
	holds[0].take.Guard = GuardUnchanged // of the attempts of a network one draws on it
	return append(holds, reserve)
}

// ask returns the verdict of one bucket.
func (j *judge) ask(key string, l Limit) verdict {
	c := j.counts[key]
	v := verdict{key: key, wait: l.wait(c, j.now)}
	switch {
	case v.wait > 0 && c.UnderWay(j.now), v.wait == 0 && j.ahead(key):
		v.busy, v.wait = true, 0
	case v.wait == 0:
		v.take = l.take(key, c, j.now, j.at)
	}
	return v
}

// forgotten reports whether nobody has failed for so long that it does not matter any
// more. What has faded only is not forgotten: or else strangers would draw on the reserve
// again and again.
func forgotten(c Count, now time.Time) bool { return now.Sub(c.Last) > remembered }

const remembered = 7 * 24 * time.Hour
