// Owns the choice of CPU kernels: the best that this processor and operating system can run, or a lesser one on demand.
internal import CSoradKernels
import Glibc
public import SoradSystem

/// A set of CPU instructions for which there are kernels. All give the same bits.
public struct InstructionSet: Sendable, Equatable, CustomStringConvertible {
    let isa: sorad_isa

    public var description: String { unsafe String(cString: sorad_isa_name(isa)) }

    public static func == (a: InstructionSet, b: InstructionSet) -> Bool { a.isa == b.isa }

    /// The best that this machine can run.
    public static var best: InstructionSet { InstructionSet(isa: sorad_isa_best(sorad_isa(UInt32.max >> 1))) }

    /// The names of all, whether this machine can run them or not.
    public static var names: [String] {
        (0..<sorad_isa_count()).map { unsafe String(cString: sorad_isa_name(sorad_isa_at($0))) }
    }

    /// Every one that this machine can run.
    public static var available: [InstructionSet] {
        (0..<sorad_isa_count()).map(sorad_isa_at)
            .filter { unsafe sorad_isa_available($0) && sorad_kernels_for($0) != nil }.map(InstructionSet.init)
    }

    /// The best one not above the one called `name`: a name may only lower the choice.
    public init(atMost name: String) throws(SoradError) {
        var limit = SORAD_ISA_SCALAR
        guard unsafe sorad_isa_from_name(name, &limit) else {
            throw SoradError(
                .configuration, "there is no instruction set called \"\(name)\"",
                hint: "this machine can run: " + Self.available.map(\.description).joined(separator: ", "))
        }
        self.init(isa: sorad_isa_best(limit))
    }

    /// What SORAD_ISA asks for, or the best.
    public static func fromEnvironment() throws(SoradError) -> InstructionSet {
        guard let name = unsafe getenv("SORAD_ISA").map({ unsafe String(cString: $0) }), !name.isEmpty else { return best }
        return try InstructionSet(atMost: name)
    }

    private init(isa: sorad_isa) { self.isa = isa }

    /// The table of kernels; lives as long as the process.
    @unsafe var kernels: UnsafePointer<sorad_kernels> {
        guard let table = unsafe sorad_kernels_for(isa) else { preconditionFailure("no kernels for \(self)") }
        return unsafe table
    }
}
