import SoradAPI
import SoradMedia
import SoradSystem
import Testing

@Suite struct PNGTests {
    /// 150 × 150 is more than one stored block holds.
    @Test(arguments: [(1, 1), (3, 2), (64, 48), (150, 150)]) func ffmpegReadsThePixelsThatWereWritten(width: Int, height: Int) throws {
        let rgb = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 / 7) }
        let packet = Provenance(program: "sorad 1", model: "m").xmpPacket
        let file = pngFile(width: width, height: height, rgb: rgb, xmp: packet)
        let size = try PictureHeader(file, format: .png)
        #expect(size.width == width && size.height == height)
        let path = "/tmp/sorad-png-\(UInt64.random(in: 0...UInt64.max)).png"
        var output = try AtomicFile(path)
        try output.write(file)
        try output.commit()
        defer { removeFile(path) }
        #expect(try FrameReader(path, width: width, height: height, count: 1, fps: 8).next() == rgb)
        #expect(String(decoding: file, as: UTF8.self).contains(Provenance.digitalSourceType))
    }
}
