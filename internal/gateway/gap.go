package gateway

import "slices"

// A gap is a pattern, and the routes that it exposes where a "*" matches nothing or only
// slashes, see [plan].
type gap struct {
	granting int
	exposed  set
	deny     []string
	denyAt   []int // the patterns
}

// maxSearches bounds the searches for one gap. A gap that does not exist
// makes the policy longer and takes nothing away.
const maxSearches = 16

// findGaps finds the gaps of one granting route.
func (t *Table) findGaps(p *plan, verb string, granting *rule) {
	for star, part := range granting.allow {
		if part != "*" {
			continue
		}
		without := slices.Delete(slices.Clone(granting.allow), star, star+1)
		g := gap{granting: granting.entry, exposed: t.newSet()}
		searches := 0
		for _, exposed := range p.routes {
			e := &t.entries[exposed.entry]
			if exposed.entry == granting.entry || implies(&t.entries[granting.entry], e) || !anyParts.meets(without, e.segments) {
				continue
			}
			if searches++; searches <= maxSearches {
				if _, found := (search{Table: t, verb: verb, pattern: without, reach: anyParts, target: exposed.entry}).run(); !found {
					continue
				}
			}
			g.exposed.add(exposed.entry)
			g.deny = gapDenies(granting.allow, star)
		}
		if g.deny != nil {
			p.gaps = append(p.gaps, g)
		}
	}
}

// gapDenies are the patterns with nothing, a slash or a percent sign where a "*" begins.
func gapDenies(allow []string, star int) []string {
	head := joinHead(allow[:star])
	deny := []string{head + "/*", head + "%*"}
	if star == len(allow)-1 {
		deny = append(deny, head)
	}
	return deny
}
