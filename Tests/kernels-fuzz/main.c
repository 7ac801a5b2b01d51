// Compares every kernel of every instruction set with its scalar definition, bit for bit, and prints the digest of
// the expected results, which tells whether the definition has the same bits on two machines.
//
//   fuzz ROUNDS SEED         all instruction sets of this build
//   fuzz 0 0 NAME            succeeds if NAME is the best instruction set of this machine
//
// Each kernel has its own random numbers in each round, so a new kernel leaves those of the others unchanged; every
// instruction set gets the same. See the Makefile for the builds: sanitized, as shipped, with SIMDe's portable
// intrinsics, for ARM under an emulator.
#include "fuzz.h"

const sorad_kernels scalar = SORAD_TABLE(SORAD_ISA_SCALAR, scalar, scalar);

static void start(const sorad_kernels *kernels, const char *kernel, uint64_t seed, int round) {
    uint64_t hash = 0xCBF29CE484222325u ^ seed;   // FNV-1a
    for (const char *c = kernel; *c; c++) hash = (hash ^ (uint8_t)*c) * 0x100000001B3u;
    seed_random((hash ^ (uint64_t)round) * 0x100000001B3u);
    begin_kernel(sorad_isa_name(kernels->isa), kernel);
}

static void fuzz_all(const sorad_kernels *kernels, int rounds, uint64_t seed) {
    digest = 0xCBF29CE484222325u;
    for (int round = 0; round < rounds; round++) {
        start(kernels, "portable", seed, round);
        digest_portable();
#define FUZZ(isa, name, type)              \
    start(kernels, #name, seed, round);    \
    fuzz_##type(scalar.name, kernels->name, kernels);
        SORAD_INT8_KERNEL_LIST(FUZZ, )
        SORAD_FLOAT_KERNEL_LIST(FUZZ, )
    }
    printf("%-14s %d rounds of %zu kernels, %ld differences so far, digest of the definition %016llx\n",
           sorad_isa_name(kernels->isa), rounds, sorad_kernel_count(), failures, (unsigned long long)digest);
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 200;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    static const sorad_kernels tables[] = {
#define TABLE(id, value, name, int8_isa, float_isa) SORAD_TABLE(id, int8_isa, float_isa),
#if defined(__aarch64__)
        SORAD_ARM_ISA_LIST(TABLE)
#else
        SORAD_X86_ISA_LIST(TABLE)
#endif
    };
    if (argc > 3) {
        const char *best = sorad_isa_name(sorad_isa_best(sorad_isa_at(sorad_isa_count() - 1)));
        printf("the best here is %s\n", best);
        return strcmp(best, argv[3]) != 0;
    }
    check_accuracy();
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
#ifndef SORAD_SIMDE
        if (!sorad_isa_available(tables[i].isa)) {
            printf("%-14s not on this CPU\n", sorad_isa_name(tables[i].isa));
            continue;
        }
#endif
        fuzz_all(&tables[i], rounds, seed);
    }
    return failures != 0;
}
