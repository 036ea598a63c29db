package argon2

import "math/bits"

// mixGeneric makes dst of prev and ref (RFC 9106, section 3.5, the compression
// function G) and, if xor, of what dst was. They may be the same block.
func mixGeneric(dst, prev, ref *block, xor bool) {
	var r, z block
	for i := range r {
		r[i] = prev[i] ^ ref[i]
	}
	z = r
	for i := 0; i < len(z); i += 16 { // the rows
		round((*[16]uint64)(z[i : i+16]))
	}
	for i := 0; i < 16; i += 2 { // the columns, two words wide
		var v [16]uint64
		for k := range 8 {
			v[2*k], v[2*k+1] = z[16*k+i], z[16*k+i+1]
		}
		round(&v)
		for k := range 8 {
			z[16*k+i], z[16*k+i+1] = v[2*k], v[2*k+1]
		}
	}
	for i := range r {
		if xor {
			r[i] ^= dst[i]
		}
		dst[i] = r[i] ^ z[i]
	}
}

// round is BLAKE2b's round without a message and with multiplications (section 3.6, P).
func round(v *[16]uint64) {
	v[0], v[4], v[8], v[12] = quarter(v[0], v[4], v[8], v[12])
	v[1], v[5], v[9], v[13] = quarter(v[1], v[5], v[9], v[13])
	v[2], v[6], v[10], v[14] = quarter(v[2], v[6], v[10], v[14])
	v[3], v[7], v[11], v[15] = quarter(v[3], v[7], v[11], v[15])
	v[0], v[5], v[10], v[15] = quarter(v[0], v[5], v[10], v[15])
	v[1], v[6], v[11], v[12] = quarter(v[1], v[6], v[11], v[12])
	v[2], v[7], v[8], v[13] = quarter(v[2], v[7], v[8], v[13])
	v[3], v[4], v[9], v[14] = quarter(v[3], v[4], v[9], v[14])
}

// quarter is section 3.6's GB.
func quarter(a, b, c, d uint64) (uint64, uint64, uint64, uint64) {
	a = sum(a, b)
	d = bits.RotateLeft64(d^a, -32)
	c = sum(c, d)
	b = bits.RotateLeft64(b^c, -24)
	a = sum(a, b)
	d = bits.RotateLeft64(d^a, -16)
	c = sum(c, d)
	b = bits.RotateLeft64(b^c, -63)
	return a, b, c, d
}

// sum is what stands in section 3.6 where BLAKE2b only adds.
func sum(a, b uint64) uint64 { return a + b + 2*uint64(uint32(a))*uint64(uint32(b)) }
