// The instruction sets: one list, from which the enumeration, the names, the tables of kernels and every loop over
// them are made.
#ifndef SORAD_ISA_H
#define SORAD_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ROW(identifier, value, name, prefix of its int8 kernels, prefix of its float kernels). On one architecture a later row is faster
// where the CPU has it. Values are stable: callers may store them.
#define SORAD_X86_ISA_LIST(ROW)                                                                                      \
    ROW(SORAD_ISA_AVX2, 1, "avx2", avx2, avx2)                  /* AVX2 + FMA: vpmaddwd on 16-bit values */          \
    ROW(SORAD_ISA_AVX512VL_VNNI, 2, "avx512vlvnni", avx512vlvnni, avx2) /* 256-bit vpdpbusd, EVEX encoded */         \
    ROW(SORAD_ISA_AVX_VNNI, 3, "avxvnni", avxvnni, avx2)        /* 256-bit vpdpbusd, VEX encoded */                  \
    ROW(SORAD_ISA_AVX512_VNNI, 4, "avx512vnni", avx512vnni, avx512vnni) /* 512-bit vpdpbusd */
#define SORAD_ARM_ISA_LIST(ROW)                                                                                      \
    ROW(SORAD_ISA_NEON, 15, "neon", neonmlal, neon)             /* SMLAL on 16-bit values: every 64-bit ARM */       \
    ROW(SORAD_ISA_NEON_DOTPROD, 16, "neon-dotprod", neondotprod, neon)  /* SDOT and UDOT */                          \
    ROW(SORAD_ISA_NEON_I8MM, 17, "neon-i8mm", neoni8mm, neon)           /* USMMLA */
#define SORAD_ISA_LIST(ROW)                                                                                          \
    ROW(SORAD_ISA_SCALAR, 0, "scalar", scalar, scalar)          /* portable C: runs everywhere, defines the result */ \
    SORAD_X86_ISA_LIST(ROW)                                                                                          \
    SORAD_ARM_ISA_LIST(ROW)

#define SORAD_ISA_CONSTANT(id, value, name, int8, float_) id = value,
typedef enum sorad_isa { SORAD_ISA_LIST(SORAD_ISA_CONSTANT) } sorad_isa;
#undef SORAD_ISA_CONSTANT

#pragma clang assume_nonnull begin

// All of them, in the order of the list, whether this machine can run them or not.
size_t sorad_isa_count(void);
sorad_isa sorad_isa_at(size_t index);

// True if this CPU and this operating system can run `isa`. Scalar is always available.
bool sorad_isa_available(sorad_isa isa);
// The best available instruction set whose value is at most `limit`. `sorad_isa_best(SORAD_ISA_AVX_VNNI)` on a
// machine that has AVX-512 but not AVX-VNNI is SORAD_ISA_AVX512VL_VNNI.
sorad_isa sorad_isa_best(sorad_isa limit);
// The name in the list; the variable SORAD_ISA takes the same names.
const char *sorad_isa_name(sorad_isa isa);
// The instruction set of that name in `*isa`; false (and `*isa` untouched) if there is none.
bool sorad_isa_from_name(const char *name, sorad_isa *isa);

// What detection reads, so that tests can try the values of any CPU: CPUID registers and XCR0 of x86, the kernel's
// HWCAP and HWCAP2 of 64-bit ARM; those of the other architecture are 0.
typedef struct sorad_cpu_registers {
    uint32_t leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_1_eax;
    uint64_t xcr0;
    uint64_t hwcap, hwcap2;
} sorad_cpu_registers;
// The instruction sets that such a machine can run: bit i is `(sorad_isa)i`.
uint32_t sorad_isa_set(const sorad_cpu_registers *cpu);

#pragma clang assume_nonnull end

#endif
