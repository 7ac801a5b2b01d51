// Detects the instruction sets that this machine can run and holds the table of each. On x86, CPUID reports what the
// CPU has and XCR0 whether the operating system saves the registers (otherwise the instructions fault); on ARM, HWCAP
// reports both.
#include <string.h>

#include "internal/kernel_list.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

// One table for each instruction set of this build's architecture; the others' are absent.
#define DEFINE_TABLE(id, value, name, int8_isa, float_isa) \
    static const sorad_kernels int8_isa##_kernels = SORAD_TABLE(id, int8_isa, float_isa);
#define PRESENT(id, value, name, int8_isa, float_isa) {id, name, &int8_isa##_kernels},
#define ABSENT(id, value, name, int8_isa, float_isa) {id, name, NULL},
#if defined(__x86_64__)
#define X86 PRESENT
SORAD_X86_ISA_LIST(DEFINE_TABLE)
#else
#define X86 ABSENT
#endif
#if defined(__aarch64__)
#define ARM PRESENT
SORAD_ARM_ISA_LIST(DEFINE_TABLE)
#else
#define ARM ABSENT
#endif
DEFINE_TABLE(SORAD_ISA_SCALAR, 0, "scalar", scalar, scalar)

static const struct {
    sorad_isa isa;
    const char *name;
    const sorad_kernels *kernels;
} isas[] = {PRESENT(SORAD_ISA_SCALAR, 0, "scalar", scalar, scalar) SORAD_X86_ISA_LIST(X86) SORAD_ARM_ISA_LIST(ARM)};
enum { isa_count = sizeof isas / sizeof isas[0] };

#define KERNEL_ROW(isa, kernel, type) {#kernel, #type, offsetof(sorad_kernels, kernel)},
static const sorad_kernel_row kernel_rows[] = {SORAD_INT8_KERNEL_LIST(KERNEL_ROW, ) SORAD_FLOAT_KERNEL_LIST(KERNEL_ROW, )};

// ---- Detection --------------------------------------------------------------------------------------------------------

static uint32_t bit(int n) { return (uint32_t)1 << n; }
static bool all(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

uint32_t sorad_isa_set(const sorad_cpu_registers *cpu) {
    uint32_t set = bit(SORAD_ISA_SCALAR);
    if (all(cpu->hwcap, bit(1))) set |= bit(SORAD_ISA_NEON);   // ASIMD
    if (all(cpu->hwcap, bit(1) | bit(20))) {                   // and ASIMDDP
        set |= bit(SORAD_ISA_NEON_DOTPROD);
        if (all(cpu->hwcap2, bit(13))) set |= bit(SORAD_ISA_NEON_I8MM);
    }
    const uint32_t fma = bit(12), osxsave = bit(27), avx = bit(28);   // leaf 1, ECX
    const uint64_t ymm_state = 0x06, zmm_state = 0xE6;               // XCR0: SSE, AVX; and opmask, ZMM halves, ZMM16-31
    if (!all(cpu->leaf1_ecx, fma | osxsave | avx) || !all(cpu->xcr0, ymm_state)) return set;
    if (!all(cpu->leaf7_ebx, bit(5))) return set;
    set |= bit(SORAD_ISA_AVX2);
    if (all(cpu->leaf7_1_eax, bit(4))) set |= bit(SORAD_ISA_AVX_VNNI);
    const uint32_t f_dq_bw_vl = bit(16) | bit(17) | bit(30) | bit(31);   // leaf 7, EBX
    const uint32_t vnni = bit(11);                                       // leaf 7, ECX
    if (all(cpu->xcr0, zmm_state) && all(cpu->leaf7_ebx, f_dq_bw_vl) && all(cpu->leaf7_ecx, vnni))
        set |= bit(SORAD_ISA_AVX512VL_VNNI) | bit(SORAD_ISA_AVX512_VNNI);
    return set;
}

static sorad_cpu_registers this_cpu(void) {
    sorad_cpu_registers cpu = {0};
#if defined(__x86_64__)
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) cpu.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        cpu.leaf7_ebx = ebx;
        cpu.leaf7_ecx = ecx;
        // EAX of sub-leaf 0 is the highest sub-leaf.
        if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) cpu.leaf7_1_eax = eax;
    }
    if (cpu.leaf1_ecx & bit(27)) {   // OSXSAVE: xgetbv exists
        __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
        cpu.xcr0 = (uint64_t)edx << 32 | eax;
    }
#elif defined(__aarch64__)
    cpu.hwcap = getauxval(AT_HWCAP);
    cpu.hwcap2 = getauxval(AT_HWCAP2);
#endif
    return cpu;
}

// ---- The tables --------------------------------------------------------------------------------------------------------

size_t sorad_isa_count(void) { return isa_count; }
sorad_isa sorad_isa_at(size_t index) { return isas[index].isa; }

size_t sorad_kernel_count(void) { return sizeof kernel_rows / sizeof kernel_rows[0]; }
sorad_kernel_row sorad_kernel_at(size_t index) { return kernel_rows[index]; }

bool sorad_isa_available(sorad_isa isa) { return sorad_kernels_for(isa) != NULL; }

sorad_isa sorad_isa_best(sorad_isa limit) {
    sorad_isa best = SORAD_ISA_SCALAR;
    for (int i = 0; i < isa_count; i++)
        if (isas[i].isa <= limit && sorad_isa_available(isas[i].isa)) best = isas[i].isa;
    return best;
}

const char *sorad_isa_name(sorad_isa isa) {
    for (int i = 0; i < isa_count; i++)
        if (isas[i].isa == isa) return isas[i].name;
    return "unknown";
}

bool sorad_isa_from_name(const char *name, sorad_isa *isa) {
    for (int i = 0; i < isa_count; i++)
        if (strcmp(isas[i].name, name) == 0) {
            *isa = isas[i].isa;
            return true;
        }
    return false;
}

const sorad_kernels *sorad_kernels_for(sorad_isa isa) {
    sorad_cpu_registers cpu = this_cpu();
    uint32_t set = sorad_isa_set(&cpu);
    for (int i = 0; i < isa_count; i++)
        if (isas[i].isa == isa && (set & bit((int)isa))) return isas[i].kernels;
    return NULL;
}
