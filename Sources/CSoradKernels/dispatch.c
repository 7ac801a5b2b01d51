// Which instruction sets this machine can run, and the table of each. CPUID says what the CPU has; XCR0 says whether the
// operating system saves the registers, without which the instructions fault.
#include <string.h>

#include "internal/kernel_list.h"

static const sorad_kernels scalar_kernels = {SORAD_ISA_SCALAR, SORAD_KERNEL_LIST(SORAD_TABLE_ENTRY, scalar)};

static const struct {
    sorad_isa isa;
    const char *name;
    const sorad_kernels *kernels;   // null: no kernels in this build
} isas[] = {
    {SORAD_ISA_SCALAR, "scalar", &scalar_kernels},
    {SORAD_ISA_AVX2, "avx2", NULL},
    {SORAD_ISA_AVX512VL_VNNI, "avx512vlvnni", NULL},
    {SORAD_ISA_AVX_VNNI, "avxvnni", NULL},
    {SORAD_ISA_AVX512_VNNI, "avx512vnni", NULL},
    {SORAD_ISA_NEON_DOTPROD, "neon-dotprod", NULL},
    {SORAD_ISA_NEON_I8MM, "neon-i8mm", NULL},
};
enum { isa_count = sizeof isas / sizeof isas[0] };

bool sorad_isa_available(sorad_isa isa) { return isa == SORAD_ISA_SCALAR; }

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
    for (int i = 0; i < isa_count; i++)
        if (isas[i].isa == isa && sorad_isa_available(isa)) return isas[i].kernels;
    return NULL;
}
