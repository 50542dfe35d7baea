package passhash

// Work returns what checking the hash costs at most: the memory in bytes, and
// the time in units of which a core does some 100,000 in a second or more.
func Work(h Hash) (memory, time int) {
	switch f := h.form.(type) {
	case argon2Hash:
		return int(f.cost.Memory) << 10, int(f.cost.Memory) * int(f.cost.Time) / 8
	case bcryptHash:
		return 8 << 10, 10 << f.cost
	case pbkdf2Hash:
		size := pbkdf2Digests[f.digest].size
		return len(f.key), f.rounds * ((len(f.key) + size - 1) / size) / 16
	case scryptHash:
		return 128 * f.cost.r << f.cost.ln, f.cost.r << f.cost.ln * f.cost.p / 8
	case firebaseHash:
		return 128 * f.r << f.ln, f.r << f.ln / 8
	case shaCryptHash:
		return 1 << 20, f.rounds
	}
	return 0, 0
}
