// Detection: what each kind of machine is found able to run, and that a limit only ever lowers the choice.

import CSoradKernels
import Testing

@Suite struct IsaTests {
    static let avx2 = sorad_cpu_registers(
        leaf1_ecx: 1 << 12 | 1 << 27 | 1 << 28, leaf7_ebx: 1 << 5, leaf7_ecx: 0, leaf7_1_eax: 0, xcr0: 0x07, hwcap: 0, hwcap2: 0)
    static let avxVnni: sorad_cpu_registers = {
        var cpu = avx2; cpu.leaf7_1_eax = 1 << 4; return cpu
    }()
    static let avx512: sorad_cpu_registers = {
        var cpu = avx2
        cpu.leaf7_ebx |= 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31
        cpu.leaf7_ecx = 1 << 11
        cpu.xcr0 = 0xE7
        return cpu
    }()

    /// A 64-bit ARM: HWCAP with ASIMD and perhaps ASIMDDP, HWCAP2 perhaps with I8MM.
    private static func arm(dotprod: Bool, i8mm: Bool) -> sorad_cpu_registers {
        var cpu = sorad_cpu_registers()
        cpu.hwcap = 1 << 1 | (dotprod ? 1 << 20 : 0)
        cpu.hwcap2 = i8mm ? 1 << 13 : 0
        return cpu
    }

    private func set(_ cpu: sorad_cpu_registers) -> [sorad_isa] {
        var cpu = cpu
        let bits = unsafe sorad_isa_set(&cpu)
        return Isa.listed.filter { bits >> $0.rawValue & 1 == 1 }
    }

    @Test func eachKindOfMachine() {
        #expect(set(sorad_cpu_registers()) == [SORAD_ISA_SCALAR])
        #expect(set(Self.avx2) == [SORAD_ISA_SCALAR, SORAD_ISA_AVX2])
        #expect(set(Self.avxVnni) == [SORAD_ISA_SCALAR, SORAD_ISA_AVX2, SORAD_ISA_AVX_VNNI])
        #expect(set(Self.avx512) == [SORAD_ISA_SCALAR, SORAD_ISA_AVX2, SORAD_ISA_AVX512VL_VNNI, SORAD_ISA_AVX512_VNNI])
    }

    /// (Under the emulator, `make test-arm` tries the same with real registers.)
    @Test func eachKindOfARM() {
        #expect(set(Self.arm(dotprod: false, i8mm: false)) == [SORAD_ISA_SCALAR, SORAD_ISA_NEON])
        #expect(set(Self.arm(dotprod: true, i8mm: false)) == [SORAD_ISA_SCALAR, SORAD_ISA_NEON, SORAD_ISA_NEON_DOTPROD])
        #expect(
            set(Self.arm(dotprod: true, i8mm: true)) == [SORAD_ISA_SCALAR, SORAD_ISA_NEON, SORAD_ISA_NEON_DOTPROD, SORAD_ISA_NEON_I8MM])
        #expect(set(Self.arm(dotprod: false, i8mm: true)) == [SORAD_ISA_SCALAR, SORAD_ISA_NEON])
    }

    /// The CPU has the instructions but the operating system does not save the registers: they would fault.
    @Test func operatingSystemStateDecides() {
        var cpu = Self.avx512
        cpu.xcr0 = 0x07
        #expect(set(cpu) == [SORAD_ISA_SCALAR, SORAD_ISA_AVX2])
        cpu.xcr0 = 0x03
        #expect(set(cpu) == [SORAD_ISA_SCALAR])
        cpu = Self.avx512
        cpu.leaf1_ecx &= ~(1 << 27)
        #expect(set(cpu) == [SORAD_ISA_SCALAR])
    }

    @Test func aMissingFeatureRemovesOnlyWhatNeedsIt() {
        var cpu = Self.avx512
        cpu.leaf7_ecx = 0  // AVX-512 without VNNI
        #expect(set(cpu) == [SORAD_ISA_SCALAR, SORAD_ISA_AVX2])
        cpu = Self.avx2
        cpu.leaf1_ecx &= ~(1 << 12)  // AVX2 without FMA
        #expect(set(cpu) == [SORAD_ISA_SCALAR])
    }

    @Test func theLimitOnlyLowers() {
        let best = sorad_isa_best(Isa.listed.last!)
        #expect(sorad_isa_available(best))
        #expect(sorad_isa_best(SORAD_ISA_SCALAR) == SORAD_ISA_SCALAR)
        for limit in Isa.listed {
            let choice = sorad_isa_best(limit)
            #expect(choice.rawValue <= min(limit.rawValue, best.rawValue))
            #expect(unsafe sorad_kernels_for(choice)!.pointee.isa == choice)
        }
    }

    @Test func namesGoBothWays() {
        for isa in Isa.listed {
            var found = SORAD_ISA_SCALAR
            #expect(unsafe sorad_isa_from_name(sorad_isa_name(isa), &found))
            #expect(found == isa)
        }
        var untouched = SORAD_ISA_AVX2
        #expect(unsafe !sorad_isa_from_name("AVX2 ", &untouched))
        #expect(untouched == SORAD_ISA_AVX2)
    }
}
