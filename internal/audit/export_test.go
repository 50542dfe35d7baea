package audit

// Keys is how many keys are remembered.
func (r *Repeats) Keys() int { return len(r.byKey) }
