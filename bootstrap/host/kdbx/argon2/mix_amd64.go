package argon2

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2

// mixAVX2 is mixGeneric, in mix_amd64.s.
//
//go:noescape
func mixAVX2(dst, prev, ref *block, xor bool)

func mix(dst, prev, ref *block, xor bool) {
	if hasAVX2 {
		mixAVX2(dst, prev, ref, xor)
		return
	}
	mixGeneric(dst, prev, ref, xor)
}
