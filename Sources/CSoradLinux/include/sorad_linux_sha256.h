// The SHA-256 instructions of x86 and ARM CPUs. Swift has neither these intrinsics nor a way to compile one function for another instruction
// set than its module; the portable form is in SoradSystem and is the reference.
#pragma once
#include <stddef.h>
#include <stdint.h>

// 1 when this CPU has the instructions and this build uses them.
int sorad_linux_sha256_available(void);
// Takes `blocks` blocks of 64 bytes into `state` (eight words, as FIPS 180-4 names them a to h). Only when available.
void sorad_linux_sha256_compress(uint32_t *state, const void *bytes, size_t blocks);
