package dynamo

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/trial"
)

// TestTraffic: each operation of the simulation costs what it costs at the wire, which
// docs/operate.md has.
func TestTraffic(t *testing.T) {
	content, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range mix {
		_, rest, ok := strings.Cut(string(content), "\n| "+o.name+" |")
		if !ok {
			t.Fatalf("docs/operate.md has no %s", o.name)
		}
		cells := strings.Split(rest, "|")
		want := load{number(t, cells[1]), number(t, cells[3])}
		tr := newTraffic(t, Config{})
		o.do(tr, tr.person())
		var got load
		for _, l := range tr.loads {
			got.read, got.write = got.read+l.read, got.write+l.write
		}
		if got != want {
			t.Errorf("%s costs %.0f RRU and %.0f WRU, at the wire %.0f and %.0f", o.name, got.read, got.write, want.read, want.write)
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// second makes the load of one, at so many requests.
func (tr *traffic) second(requests int) map[string]load {
	clear(tr.loads)
	for range requests {
		n := tr.rand.IntN(1000)
		for _, o := range mix {
			if n -= o.share; n < 0 {
				o.do(tr, tr.person())
				break
			}
		}
	}
	tr.add(signingKeys, processes*float64(requests)/rate/10, 0)
	tr.now = tr.now.Add(1e9)
	return tr.loads
}

// rate is that of 10 million users.
const rate = 10_000

// A run is some seconds at one rate.
type run struct {
	requests       int // a second
	all, throttled load
	worst          float64
	warmKeys       map[string]float64 // by the mean of their shares
}

func (tr *traffic) run(table *table, requests, seconds int) run {
	r := run{requests: requests, warmKeys: make(map[string]float64)}
	for range seconds {
		s := table.carry(tr.second(requests))
		r.all = load{max(r.all.read, s.all.read), max(r.all.write, s.all.write)}
		r.throttled.read += s.throttled.read
		r.throttled.write += s.throttled.write
		r.worst = max(r.worst, s.worst)
		for key, share := range s.warmKeys {
			r.warmKeys[key] += share / float64(seconds)
		}
	}
	tr.t.Logf("%6d requests/s: %.0f RRU and %.0f WRU a second, the fullest of %d partitions at %.0f %%; throttled in %d s: %.0f RRU, %.0f WRU",
		requests, r.all.read, r.all.write, len(table.from), 100*r.worst, seconds, r.throttled.read, r.throttled.write)
	return r
}

// A saturation is the rate at which a partition key is more than a partition takes.
type saturation struct {
	kind     string // the partition key; of a list over shards, the list
	requests int
}

// saturations are those of the keys that are much for a partition, the first first.
func (r run) saturations() []saturation {
	most := make(map[string]float64)
	for key, share := range r.warmKeys {
		kind, _, _ := strings.Cut(key, "#")
		if kind == "count" { // a list over shards is that of an alarm
			kind, _, _ = strings.Cut(strings.TrimPrefix(key, "count#"), "#")
			kind = "count#" + kind
		}
		most[kind] = max(most[kind], share)
	}
	var all []saturation
	for kind, share := range most {
		all = append(all, saturation{kind, int(float64(r.requests) / share)})
	}
	slices.SortFunc(all, func(a, b saturation) int { return cmp.Compare(a.requests, b.requests) })
	return all
}

// warm is a table that has grown with the traffic: by a quarter in every half hour, of
// which some seconds are run. Nothing may be throttled on the way.
func warm(t *testing.T, tr *traffic) *table {
	t.Helper()
	table := newTable()
	first := trial.Of(6400, 1000)
	table.grow(load{read: 4 * float64(first), write: 4 * float64(first)})
	for range 2 { // in which what is hot is split
		tr.run(table, first, 1)
	}
	for requests := first; requests < rate; requests += requests / 4 {
		r := tr.run(table, requests, trial.Of(1, 10))
		if r.throttled != (load{}) {
			t.Errorf("the table throttles at %d requests a second, on its way to %d", requests, rate)
		}
		table.grow(r.all)
	}
	return table
}

// TestTrialScale: 10 million users and 10,000 requests a second are within the limits of
// every partition. What breaks at ten times that is known.
func TestTrialScale(t *testing.T) {
	tr := newTraffic(t, Config{})
	table := warm(t, tr)
	r := tr.run(table, rate, trial.Of(2, 120))
	if r.throttled != (load{}) {
		t.Errorf("the table throttles at %d requests a second", rate)
	}
	if trial.Full() {
		table.grow(load{10 * r.all.read, 10 * r.all.write})
		tr.run(table, 10*rate, 5)
		r = tr.run(table, 10*rate, 20)
	}
	first := r.saturations()
	for _, s := range first {
		t.Logf("%s: saturated at %d requests a second", s.kind, s.requests)
	}
	for i, want := range []saturation{{"events", 38_500}, {"user", 87_800}} {
		if i >= len(first) || first[i].kind != want.kind || first[i].requests < want.requests*4/5 || first[i].requests > want.requests*6/5 {
			t.Errorf("saturated are %v; want as number %d %v, or nearly", first, i+1, want)
		}
	}
}

// TestScaleOfANewTable: a new table throttles most of it, when it comes at once.
func TestScaleOfANewTable(t *testing.T) {
	r := newTraffic(t, Config{}).run(newTable(), rate, 1)
	if r.throttled.write < r.all.write/2 {
		t.Errorf("a table of four partitions has throttled %.0f WRU of %.0f", r.throttled.write, r.all.write)
	}
}

// TestScaleOfOneShard: lists by time that are not spread are found to be too hot.
func TestScaleOfOneShard(t *testing.T) {
	table := newTable()
	table.grow(load{80_000, 80_000})
	r := newTraffic(t, Config{EventShards: 1, RevocationShards: 1}).run(table, rate, 1)
	if s := r.saturations(); s[0].kind != "events" || s[0].requests > rate {
		t.Errorf("saturated are %v; want the events, at less than %d", s, rate)
	}
}
