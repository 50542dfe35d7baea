package passhash

// Work returns what checking the hash costs at most: the memory in bytes, and
// about how many microseconds of a core (BenchmarkDearest).
func Work(h Hash) (memory, time int) {
	switch f := h.form.(type) {
	case argon2Hash:
		return int(f.cost.Memory) << 10, int(f.cost.Memory) * int(f.cost.Time)
	case bcryptHash:
		return 8 << 10, 66 << f.cost
	case pbkdf2Hash:
		d := pbkdf2Digests[f.digest]
		each := map[string]int{"sha1": 20, "sha256": 17, "sha512": 54}[f.digest] // of 100
		return len(f.key), f.rounds * ((len(f.key) + d.size - 1) / d.size) * each / 100
	case scryptHash:
		return f.cost.work()
	case firebaseHash:
		return f.cost().work()
	case phpassHash:
		const password = 1024
		return 4 << 10, (1 << f.ln) * ((16 + password + 72) / 64) / 10
	case shaCryptHash:
		return 1 << 20, f.rounds * (110 + min(maxSHACryptPassword, maxSHACryptWork/f.rounds)) * 36 / 10_000
	}
	return 0, 0
}

func (c scryptCost) work() (memory, time int) {
	blocks := 128 * c.r * c.p
	return 128*c.r<<c.ln + blocks, (blocks<<c.ln + 3*blocks) / 380
}

// SHACryptTakes reports whether a password is hashed at all.
func SHACryptTakes(h Hash, password string) bool { return h.form.(shaCryptHash).takes(password) }
