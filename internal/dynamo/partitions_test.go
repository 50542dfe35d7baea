package dynamo

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
)

// What a partition takes in a second, by DynamoDB's documentation.
const (
	mostRead  = 3000
	mostWrite = 1000
)

// A load is units of a second.
type load struct{ read, write float64 }

// share is how much of what a partition takes the load is: above 1 it is throttled.
func (l load) share() float64 { return max(l.read/mostRead, l.write/mostWrite) }

// A table models an on-demand table: ranges of hashes of partition keys, each with the
// limits of a partition. What belongs to one partition key stays together: DynamoDB can
// split it by sort keys, but not where those only rise. There is no burst capacity.
type table struct {
	from []uint64 // where each partition begins, ascending; the first at 0
}

// newTable is one that nobody has used yet: 4,000 WRU and 12,000 RRU a second.
func newTable() *table {
	return &table{[]uint64{0, 1 << 62, 2 << 62, 3 << 62}}
}

// hotShare is from where on a partition is split. DynamoDB does it by load, too, and does
// not say when.
const hotShare = 0.7

const warmShare = 0.1

func placeOf(partition string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(partition))
	x := h.Sum64() // whose high bits hardly differ for names that do
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (t *table) partitionOf(place uint64) int {
	i, found := slices.BinarySearch(t.from, place)
	if !found {
		i--
	}
	return i
}

// A second is what has become of one.
type second struct {
	all, throttled load
	worst          float64            // share of the partition with the most
	warmKeys       map[string]float64 // the share of partition keys that are much for a partition alone
}

// carry takes the load of a second, by partition key, and splits what is hot.
func (t *table) carry(loads map[string]load) second {
	s := second{warmKeys: make(map[string]float64)}
	sums := make([]load, len(t.from))
	for key, l := range loads {
		p := &sums[t.partitionOf(placeOf(key))]
		p.read, p.write = p.read+l.read, p.write+l.write
		s.all.read, s.all.write = s.all.read+l.read, s.all.write+l.write
		if l.share() > warmShare {
			s.warmKeys[key] = l.share()
		}
	}
	var hot []int
	for i, sum := range sums {
		s.worst = max(s.worst, sum.share())
		s.throttled.read += max(0, sum.read-mostRead)
		s.throttled.write += max(0, sum.write-mostWrite)
		if sum.share() > hotShare {
			hot = append(hot, i)
		}
	}
	t.split(hot, loads)
	return s
}

// split splits partitions where half of their load is on either side.
func (t *table) split(hot []int, loads map[string]load) {
	if len(hot) == 0 {
		return
	}
	type one struct {
		place uint64
		share float64
	}
	within := make(map[int][]one)
	for key, l := range loads {
		place := placeOf(key)
		if i := t.partitionOf(place); slices.Contains(hot, i) {
			within[i] = append(within[i], one{place, l.share()})
		}
	}
	for _, i := range hot {
		keys, sum := within[i], 0.0
		slices.SortFunc(keys, func(a, b one) int { return cmp.Compare(a.place, b.place) })
		for _, k := range keys {
			sum += k.share
		}
		at, before := keys[len(keys)-1].place, 0.0
		for _, k := range keys {
			if before+k.share/2 > sum/2 {
				at = k.place
				break
			}
			before += k.share
		}
		t.from = append(t.from, max(at, 1))
	}
	t.sort()
}

func (t *table) sort() {
	slices.Sort(t.from)
	t.from = slices.Compact(t.from)
}

// grow has the table ready for twice the load, as on-demand tables are half an hour after
// a peak.
func (t *table) grow(peak load) {
	wanted := int(math.Ceil(2 * peak.share()))
	for len(t.from) < wanted {
		widest, width := 0, uint64(0)
		for i, from := range t.from {
			if w := t.end(i) - from; w > width {
				widest, width = i, w
			}
		}
		t.from = append(t.from, t.from[widest]+width/2)
		t.sort()
	}
}

func (t *table) end(i int) uint64 {
	if i+1 < len(t.from) {
		return t.from[i+1]
	}
	return math.MaxUint64
}
