//go:build !amd64

package argon2

func mix(dst, prev, ref *block, xor bool) { mixGeneric(dst, prev, ref, xor) }
