import SoradCPU
import SoradSystem
import Testing

@Suite struct InstructionSetTests {
    @Test func instructionSetsCanOnlyBeLowered() throws {
        #expect(try InstructionSet(atMost: "scalar").description == "scalar")
        #expect(InstructionSet.available.contains(try InstructionSet(atMost: "avx512vnni")))
        #expect(InstructionSet.available.contains(InstructionSet.best))
        #expect(throws: SoradError.self) { try InstructionSet(atMost: "mmx") }
    }

    @Test func processorsAreCounted() {
        #expect((1...4096).contains(ProcessorCount.usable()))
        #expect(ProcessorCount.quota("150000 100000\n") == 1.5)
        #expect(ProcessorCount.quota("max 100000\n") == nil)
        #expect(ProcessorCount.quota("0 100000") == nil)
        #expect(ProcessorCount.quota("") == nil)
    }
}
