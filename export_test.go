package latchkey

// VerifySignature is the signature check alone: the RFCs' vectors sign claims
// that Verify would refuse for their content.
func (k *Key) VerifySignature(input, sig []byte) bool { return k.verify(input, sig) }

// Cached returns how many tokens the verifier remembers.
func (v *Verifier) Cached() int {
	if v.cache == nil {
		return 0
	}
	v.cache.mu.Lock()
	defer v.cache.mu.Unlock()
	return len(v.cache.young) + len(v.cache.old)
}
