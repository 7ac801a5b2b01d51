// SHA-256 (FIPS 180-4), streaming. Names model files, frames and source files, so it must not depend on a library that may be absent.
//
// The CPU's own instructions are used where it has them; the portable code here is their reference in the tests.
//
// Invariant: `state` covers exactly the whole 64-byte blocks among the `length` bytes seen so far; the rest wait in `pending`.
import CSoradLinux

/// A running SHA-256. Feed it with `update`, read the digest with `finalize`.
public struct SHA256: Sendable {
    private var state = SIMD8<UInt32>(
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19)
    /// The bytes after the last whole block; always fewer than 64 between calls.
    private var pending: [UInt8] = []
    /// Bytes seen.
    private var length: UInt64 = 0
    private let usesInstructions: Bool

    /// Whether this CPU has instructions for it.
    package static let hasInstructions = sorad_linux_sha256_available() == 1

    public init() { self.init(usesInstructions: SHA256.hasInstructions) }

    /// `usesInstructions` false: the portable code, whatever the CPU has.
    package init(usesInstructions: Bool) {
        precondition(SHA256.hasInstructions || !usesInstructions, "this CPU has no SHA-256 instructions")
        self.usesInstructions = usesInstructions
        pending.reserveCapacity(64)
    }

    /// Takes in `bytes` after everything before.
    public mutating func update(_ bytes: RawSpan) {
        length &+= UInt64(bytes.byteCount)
        var offset = 0
        if !pending.isEmpty {
            offset = min(64 - pending.count, bytes.byteCount)
            for i in 0..<offset { pending.append(unsafe bytes.unsafeLoad(fromByteOffset: i, as: UInt8.self)) }
            guard pending.count == 64 else { return }
            let block = pending
            unsafe compress(block.span.bytes, from: 0, blocks: 1)
            pending.removeAll(keepingCapacity: true)
        }
        let blocks = (bytes.byteCount - offset) / 64
        compress(bytes, from: offset, blocks: blocks)
        for i in (offset + blocks * 64)..<bytes.byteCount { pending.append(unsafe bytes.unsafeLoad(fromByteOffset: i, as: UInt8.self)) }
    }

    public mutating func update(_ bytes: [UInt8]) { unsafe update(bytes.span.bytes) }

    /// The 32 bytes of the digest.
    public consuming func finalize() -> [UInt8] {
        let bits = length &* 8
        var tail: [UInt8] = [0x80]
        while (pending.count + tail.count) % 64 != 56 { tail.append(0) }
        for shift in stride(from: UInt64(56), through: 0, by: -8) { tail.append(UInt8(truncatingIfNeeded: bits >> shift)) }
        update(tail)
        precondition(pending.isEmpty, "SHA-256 padding left \(pending.count) bytes")
        var digest: [UInt8] = []
        digest.reserveCapacity(32)
        for i in 0..<8 {
            for shift in stride(from: UInt32(24), through: 0, by: -8) { digest.append(UInt8(truncatingIfNeeded: state[i] >> shift)) }
        }
        return digest
    }

    /// The digest of `bytes`.
    public static func hash(_ bytes: RawSpan) -> [UInt8] {
        var sum = SHA256()
        sum.update(bytes)
        return sum.finalize()
    }

    public static func hash(_ bytes: [UInt8]) -> [UInt8] { unsafe hash(bytes.span.bytes) }

    /// Lower-case hexadecimal digits of a digest.
    public static func hexadecimal(_ digest: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private mutating func compress(_ bytes: RawSpan, from start: Int, blocks: Int) {
        guard blocks > 0 else { return }
        precondition(start >= 0 && start + blocks * 64 <= bytes.byteCount, "SHA-256 block outside its bytes")
        guard usesInstructions else { return compressPortably(bytes, from: start, blocks: blocks) }
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe withUnsafeMutableBytes(of: &state) { state in
                guard let input = bytes.baseAddress, let words = state.baseAddress else { return }
                unsafe sorad_linux_sha256_compress(words.assumingMemoryBound(to: UInt32.self), input + start, blocks)
            }
        }
    }

    /// FIPS 180-4, 6.2.2. Eight rounds are written out because after eight the eight variables are back in their places, so that none
    /// has to be moved; that doubles the speed.
    private mutating func compressPortably(_ bytes: RawSpan, from start: Int, blocks: Int) {
        var (a, b, c, d, e, f, g, h) = (state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7])
        let constants = Self.constants
        var w = InlineArray<64, UInt32>(repeating: 0)
        for block in 0..<blocks {
            schedule(&w, bytes, at: start + block * 64)
            for i in stride(from: 0, to: 64, by: 8) {
                round(a, b, c, &d, e, f, g, &h, constants[i] &+ w[i])
                round(h, a, b, &c, d, e, f, &g, constants[i + 1] &+ w[i + 1])
                round(g, h, a, &b, c, d, e, &f, constants[i + 2] &+ w[i + 2])
                round(f, g, h, &a, b, c, d, &e, constants[i + 3] &+ w[i + 3])
                round(e, f, g, &h, a, b, c, &d, constants[i + 4] &+ w[i + 4])
                round(d, e, f, &g, h, a, b, &c, constants[i + 5] &+ w[i + 5])
                round(c, d, e, &f, g, h, a, &b, constants[i + 6] &+ w[i + 6])
                round(b, c, d, &e, f, g, h, &a, constants[i + 7] &+ w[i + 7])
            }
            state &+= SIMD8(a, b, c, d, e, f, g, h)
            (a, b, c, d, e, f, g, h) = (state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7])
        }
    }

    /// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
    private static let constants: InlineArray<64, UInt32> = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ]
}

@inline(__always)
private func rotated(_ x: UInt32, _ count: UInt32) -> UInt32 { (x &>> count) | (x &<< (32 &- count)) }

/// The 64 words of a block's message schedule. The caller proved that the block is there.
@inline(__always)
private func schedule(_ w: inout InlineArray<64, UInt32>, _ bytes: RawSpan, at start: Int) {
    for i in 0..<16 { w[i] = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start + i * 4, as: UInt32.self).bigEndian }
    for i in 16..<64 {
        let (early, late) = (w[i - 15], w[i - 2])
        let s0 = rotated(early, 7) ^ rotated(early, 18) ^ (early >> 3)
        let s1 = rotated(late, 17) ^ rotated(late, 19) ^ (late >> 10)
        w[i] = w[i - 16] &+ s0 &+ w[i - 7] &+ s1
    }
}

/// One round; `word` is the schedule's word plus the round's constant.
@inline(__always)
private func round(
    _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: inout UInt32, _ e: UInt32, _ f: UInt32, _ g: UInt32, _ h: inout UInt32, _ word: UInt32
) {
    let t1 = h &+ (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) &+ (g ^ (e & (f ^ g))) &+ word
    d = d &+ t1
    h = t1 &+ (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) &+ ((a & b) | (c & (a | b)))
}
