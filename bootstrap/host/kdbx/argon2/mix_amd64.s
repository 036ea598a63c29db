#include "textflag.h"

// Byte shuffles that rotate each 64-bit word to the right by 24 and by 16 bits.
DATA rot24<>+0(SB)/8, $0x0201000706050403
DATA rot24<>+8(SB)/8, $0x0a09080f0e0d0c0b
DATA rot24<>+16(SB)/8, $0x0201000706050403
DATA rot24<>+24(SB)/8, $0x0a09080f0e0d0c0b
GLOBL rot24<>(SB), NOPTR|RODATA, $32

DATA rot16<>+0(SB)/8, $0x0100070605040302
DATA rot16<>+8(SB)/8, $0x09080f0e0d0c0b0a
DATA rot16<>+16(SB)/8, $0x0100070605040302
DATA rot16<>+24(SB)/8, $0x09080f0e0d0c0b0a
GLOBL rot16<>(SB), NOPTR|RODATA, $32

// SUM2 is sum of mix.go, a = sum(a, b), on two times four words. It spoils Y8 and Y9.
#define SUM2(A0, B0, A1, B1) \
	VPMULUDQ A0, B0, Y8; VPMULUDQ A1, B1, Y9; \
	VPADDQ B0, A0, A0;   VPADDQ B1, A1, A1;   \
	VPADDQ Y8, Y8, Y8;   VPADDQ Y9, Y9, Y9;   \
	VPADDQ Y8, A0, A0;   VPADDQ Y9, A1, A1

// QUARTERS is eight times quarter of mix.go, for each word of the registers.
#define QUARTERS(A0, B0, C0, D0, A1, B1, C1, D1) \
	SUM2(A0, B0, A1, B1);                               \
	VPXOR A0, D0, D0;      VPXOR A1, D1, D1;            \
	VPSHUFD $0xb1, D0, D0; VPSHUFD $0xb1, D1, D1;       \
	SUM2(C0, D0, C1, D1);                               \
	VPXOR C0, B0, B0;      VPXOR C1, B1, B1;            \
	VPSHUFB Y14, B0, B0;   VPSHUFB Y14, B1, B1;         \
	SUM2(A0, B0, A1, B1);                               \
	VPXOR A0, D0, D0;      VPXOR A1, D1, D1;            \
	VPSHUFB Y15, D0, D0;   VPSHUFB Y15, D1, D1;         \
	SUM2(C0, D0, C1, D1);                               \
	VPXOR C0, B0, B0;      VPXOR C1, B1, B1;            \
	VPADDQ B0, B0, Y8;     VPADDQ B1, B1, Y9;           \
	VPSRLQ $63, B0, B0;    VPSRLQ $63, B1, B1;          \
	VPXOR Y8, B0, B0;      VPXOR Y9, B1, B1

// func mixAVX2(dst, prev, ref *block, xor bool)
TEXT ·mixAVX2(SB), 0, $1024-25
	MOVQ    dst+0(FP), DI
	MOVQ    prev+8(FP), SI
	MOVQ    ref+16(FP), DX
	MOVBLZX xor+24(FP), R8
	VMOVDQU rot24<>(SB), Y14
	VMOVDQU rot16<>(SB), Y15
	LEAQ    z-1024(SP), BX
	XORQ    AX, AX

rows: // Two rows at a time, each of four registers: z = round(prev ^ ref).
	VMOVDQU 0(SI)(AX*1), Y0
	VMOVDQU 32(SI)(AX*1), Y1
	VMOVDQU 64(SI)(AX*1), Y2
	VMOVDQU 96(SI)(AX*1), Y3
	VMOVDQU 128(SI)(AX*1), Y4
	VMOVDQU 160(SI)(AX*1), Y5
	VMOVDQU 192(SI)(AX*1), Y6
	VMOVDQU 224(SI)(AX*1), Y7
	VPXOR   0(DX)(AX*1), Y0, Y0
	VPXOR   32(DX)(AX*1), Y1, Y1
	VPXOR   64(DX)(AX*1), Y2, Y2
	VPXOR   96(DX)(AX*1), Y3, Y3
	VPXOR   128(DX)(AX*1), Y4, Y4
	VPXOR   160(DX)(AX*1), Y5, Y5
	VPXOR   192(DX)(AX*1), Y6, Y6
	VPXOR   224(DX)(AX*1), Y7, Y7
	QUARTERS(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7)
	// The diagonals under each other, and back.
	VPERMQ  $0x39, Y1, Y1
	VPERMQ  $0x39, Y5, Y5
	VPERMQ  $0x4e, Y2, Y2
	VPERMQ  $0x4e, Y6, Y6
	VPERMQ  $0x93, Y3, Y3
	VPERMQ  $0x93, Y7, Y7
	QUARTERS(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7)
	VPERMQ  $0x93, Y1, Y1
	VPERMQ  $0x93, Y5, Y5
	VPERMQ  $0x4e, Y2, Y2
	VPERMQ  $0x4e, Y6, Y6
	VPERMQ  $0x39, Y3, Y3
	VPERMQ  $0x39, Y7, Y7
	VMOVDQU Y0, 0(BX)(AX*1)
	VMOVDQU Y1, 32(BX)(AX*1)
	VMOVDQU Y2, 64(BX)(AX*1)
	VMOVDQU Y3, 96(BX)(AX*1)
	VMOVDQU Y4, 128(BX)(AX*1)
	VMOVDQU Y5, 160(BX)(AX*1)
	VMOVDQU Y6, 192(BX)(AX*1)
	VMOVDQU Y7, 224(BX)(AX*1)
	ADDQ    $256, AX
	CMPQ    AX, $1024
	JNE     rows

	XORQ AX, AX

columns: // Two columns at a time, one in the low halves of the registers and one in the high.
	VMOVDQU  0(BX)(AX*1), Y0
	VMOVDQU  128(BX)(AX*1), Y4
	VMOVDQU  256(BX)(AX*1), Y1
	VMOVDQU  384(BX)(AX*1), Y5
	VMOVDQU  512(BX)(AX*1), Y2
	VMOVDQU  640(BX)(AX*1), Y6
	VMOVDQU  768(BX)(AX*1), Y3
	VMOVDQU  896(BX)(AX*1), Y7
	QUARTERS(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7)
	VPALIGNR $8, Y1, Y5, Y10
	VPALIGNR $8, Y5, Y1, Y11
	VPALIGNR $8, Y7, Y3, Y12
	VPALIGNR $8, Y3, Y7, Y13
	QUARTERS(Y0, Y10, Y6, Y12, Y4, Y11, Y2, Y13)
	VPALIGNR $8, Y11, Y10, Y1
	VPALIGNR $8, Y10, Y11, Y5
	VPALIGNR $8, Y12, Y13, Y3
	VPALIGNR $8, Y13, Y12, Y7
	// What the block was made of once more: out = z ^ prev ^ ref.
	VPXOR    0(SI)(AX*1), Y0, Y0
	VPXOR    128(SI)(AX*1), Y4, Y4
	VPXOR    256(SI)(AX*1), Y1, Y1
	VPXOR    384(SI)(AX*1), Y5, Y5
	VPXOR    512(SI)(AX*1), Y2, Y2
	VPXOR    640(SI)(AX*1), Y6, Y6
	VPXOR    768(SI)(AX*1), Y3, Y3
	VPXOR    896(SI)(AX*1), Y7, Y7
	VPXOR    0(DX)(AX*1), Y0, Y0
	VPXOR    128(DX)(AX*1), Y4, Y4
	VPXOR    256(DX)(AX*1), Y1, Y1
	VPXOR    384(DX)(AX*1), Y5, Y5
	VPXOR    512(DX)(AX*1), Y2, Y2
	VPXOR    640(DX)(AX*1), Y6, Y6
	VPXOR    768(DX)(AX*1), Y3, Y3
	VPXOR    896(DX)(AX*1), Y7, Y7
	TESTL    R8, R8
	JEQ      store
	VPXOR    0(DI)(AX*1), Y0, Y0
	VPXOR    128(DI)(AX*1), Y4, Y4
	VPXOR    256(DI)(AX*1), Y1, Y1
	VPXOR    384(DI)(AX*1), Y5, Y5
	VPXOR    512(DI)(AX*1), Y2, Y2
	VPXOR    640(DI)(AX*1), Y6, Y6
	VPXOR    768(DI)(AX*1), Y3, Y3
	VPXOR    896(DI)(AX*1), Y7, Y7

store:
	VMOVDQU Y0, 0(DI)(AX*1)
	VMOVDQU Y4, 128(DI)(AX*1)
	VMOVDQU Y1, 256(DI)(AX*1)
	VMOVDQU Y5, 384(DI)(AX*1)
	VMOVDQU Y2, 512(DI)(AX*1)
	VMOVDQU Y6, 640(DI)(AX*1)
	VMOVDQU Y3, 768(DI)(AX*1)
	VMOVDQU Y7, 896(DI)(AX*1)
	ADDQ    $32, AX
	CMPQ    AX, $128
	JNE     columns
	VZEROUPPER
	RET
