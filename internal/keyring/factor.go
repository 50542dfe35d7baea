package keyring

import (
	"crypto/rand"
	"errors"
	"math/big"
)

// factor finds the primes of an RSA modulus from both exponents (RFC 7518 section
// 6.3.2 lets a private key hold d alone): NIST SP 800-56B Rev. 2, appendix C.1.
// d·e-1 is a multiple of the order of every number modulo n, so that its half,
// quarter and so on lead to a root of one that is neither 1 nor -1 for at least half
// of all numbers, and the difference shares one prime with n.
func factor(n, e, d *big.Int) (p, q *big.Int, err error) {
	one := big.NewInt(1)
	k := new(big.Int).Mul(d, e)
	k.Sub(k, one)
	if n.Sign() <= 0 || k.Sign() <= 0 || k.Bit(0) == 1 || d.BitLen() > n.BitLen() {
		return nil, nil, errNotInverse
	}
	halvings := k.TrailingZeroBits()
	odd := new(big.Int).Rsh(k, halvings)
	last := new(big.Int).Sub(n, one)
	for range 64 { // each try fails for less than half of all bases
		base, err := rand.Int(rand.Reader, n)
		if err != nil {
			return nil, nil, err
		}
		root := new(big.Int).Exp(base, odd, n)
		if base.Sign() == 0 || root.Cmp(one) == 0 || root.Cmp(last) == 0 {
			continue
		}
		for range halvings {
			square := new(big.Int).Mul(root, root)
			square.Mod(square, n)
			if square.Cmp(one) == 0 {
				p = new(big.Int).GCD(nil, nil, root.Sub(root, one), n)
				return p, new(big.Int).Quo(n, p), nil
			}
			if root = square; root.Cmp(last) == 0 {
				break
			}
		}
		if root.Cmp(last) != 0 { // base to the power of k is not 1
			return nil, nil, errNotInverse
		}
	}
	return nil, nil, errNotInverse
}

var errNotInverse = errors.New("d does not belong to n and e")
