// Owns what is changed in a committed module for one device, in its binary form (SPIR-V 1.6, 2.3 "Physical Layout of a SPIR-V Module"):
// fused products as OpFmaKHR, and execution modes that not every device allows. A module without changes is used as it is.

package struct SPIRVPatch {
    /// `fma` of GLSL.std.450 becomes OpFmaKHR (SPV_KHR_fma).
    package var usesFMAExtension = false
    /// DenormPreserve of 32 bits.
    package var denormPreserve32 = false
    /// RoundingModeRTE of 64 bits.
    package var roundToNearest64 = false

    private enum Opcode {
        static let `extension` = 10, importFunctions = 11, functionCall = 12, memoryModel = 14, entryPoint = 15, executionMode = 16,
            capability = 17, fmaKHR = 4427
    }
    /// Of the GLSL.std.450 instruction set.
    private static let fma: UInt32 = 50
    private static let headerWords = 5

    package init() {}

    /// - Parameter words: a module with one entry point.
    package func applied(to words: [UInt32]) -> [UInt32] {
        guard usesFMAExtension || denormPreserve32 || roundToNearest64 else { return words }
        var result = Array(words.prefix(Self.headerWords))
        var functions: UInt32?
        var hasCapabilities = false
        var hasExtensions = false
        var at = Self.headerWords
        while at < words.count {
            let (count, opcode) = (Int(words[at] >> 16), Int(words[at] & 0xFFFF))
            precondition(count > 0 && at + count <= words.count, "instruction \(opcode) at word \(at) of \(words.count)")
            let operands = Array(words[at + 1..<at + count])
            if !hasCapabilities && opcode != Opcode.capability {
                result += capabilities.flatMap { Self.instruction(Opcode.capability, [$0]) }
                hasCapabilities = true
            }
            if hasCapabilities && !hasExtensions && opcode != Opcode.extension {
                if usesFMAExtension { result += Self.instruction(Opcode.extension, Self.text("SPV_KHR_fma")) }
                hasExtensions = true
            }
            if opcode == Opcode.importFunctions { functions = operands[0] }
            if usesFMAExtension, opcode == Opcode.functionCall, operands[2] == functions, operands[3] == Self.fma {
                result += Self.instruction(Opcode.fmaKHR, [operands[0], operands[1]] + operands[4...])
            } else {
                result += words[at..<at + count]
            }
            if opcode == Opcode.entryPoint { result += modes.flatMap { Self.instruction(Opcode.executionMode, [operands[1]] + $0) } }
            at += count
        }
        return result
    }

    /// DenormPreserve, RoundingModeRTE, FMAKHR.
    private var capabilities: [UInt32] {
        (denormPreserve32 ? [4464] : []) + (roundToNearest64 ? [4467] : []) + (usesFMAExtension ? [6030] : [])
    }

    private var modes: [[UInt32]] { (denormPreserve32 ? [[4459, 32]] : []) + (roundToNearest64 ? [[4462, 64]] : []) }

    private static func instruction(_ opcode: Int, _ operands: [UInt32]) -> [UInt32] {
        [UInt32(operands.count + 1) << 16 | UInt32(opcode)] + operands
    }

    /// A text with its zero, in words.
    private static func text(_ text: String) -> [UInt32] {
        let bytes = Array(text.utf8) + [UInt8](repeating: 0, count: 4 - text.utf8.count % 4)
        return stride(from: 0, to: bytes.count, by: 4).map { at in
            (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        }
    }
}
