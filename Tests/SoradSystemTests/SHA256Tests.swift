// SHA-256 against the vectors of FIPS 180-4 and of NIST's example file, and against itself in pieces.
import SoradSystem
import Testing

@Suite struct SHA256Tests {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
        (String(repeating: "a", count: 1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ]) func publishedVectors(text: String, digest: String) {
        #expect(SHA256.hexadecimal(SHA256.hash(Array(text.utf8))) == digest)
    }

    /// The CPU's instructions against the portable code, over whole and broken blocks at every alignment.
    @Test(.enabled(if: SHA256.hasInstructions)) func instructionsEqualThePortableCode() {
        var random: UInt64 = 0x9e37_79b9_7f4a_7c15
        let bytes = (0..<5000).map { _ -> UInt8 in
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: random >> 56)
        }
        for length in Array(0...200) + [1023, 1024, 1025, 4096, 4984] {
            for start in [0, 1, 7, 16] {
                let part = Array(bytes[start..<start + length])
                let digests = [true, false].map { usesInstructions in
                    var sum = SHA256(usesInstructions: usesInstructions)
                    unsafe sum.update(bytes.span.bytes.extracting(start..<start + length))
                    return sum.finalize()
                }
                #expect(digests[0] == digests[1], "\(length) bytes from \(start)")
                #expect(digests[0] == SHA256.hash(part))
            }
        }
    }

    @Test func piecesGiveTheSameDigest() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let whole = SHA256.hash(bytes)
        for cut in 0...bytes.count {
            var sum = SHA256()
            sum.update(Array(bytes[..<cut]))
            sum.update([])
            sum.update(Array(bytes[cut...]))
            #expect(sum.finalize() == whole, "cut at \(cut)")
        }
    }
}
