import SoradSystem
import Testing

@Suite struct FrameDecoderTests {
    @Test func framesDoNotDependOnTheCuts() throws {
        let frames: [[UInt8]] = [[1], [UInt8](repeating: 7, count: 300), [9, 9]]
        let bytes = frames.flatMap { FrameDecoder.encode($0) }
        for piece in [1, 2, 5, 100, bytes.count] {
            var decoder = FrameDecoder(limit: 300)
            var found: [[UInt8]] = []
            for start in stride(from: 0, to: bytes.count, by: piece) {
                decoder.append(bytes[start..<min(start + piece, bytes.count)])
                while let frame = try decoder.next() { found.append(frame) }
            }
            #expect(found == frames, "pieces of \(piece)")
            #expect(decoder.isEmpty)
        }
    }

    @Test(arguments: [0, 301, UInt32.max]) func aLengthOutsideTheLimitIsRefusedBeforeItsBytesCome(length: UInt32) {
        var decoder = FrameDecoder(limit: 300)
        decoder.append((0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) })
        #expect(throws: FrameChannel.Failure.frameLength(length, limit: 300)) { try decoder.next() }
    }

    @Test func anIncompleteFrameWaits() throws {
        var decoder = FrameDecoder(limit: 10)
        decoder.append([2, 0, 0, 0, 5])
        #expect(try decoder.next() == nil)
        #expect(!decoder.isEmpty)
        decoder.append([6])
        #expect(try decoder.next() == [5, 6])
    }
}
