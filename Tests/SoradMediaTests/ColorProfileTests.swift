// Pictures with a color profile, made by ImageMagick, cwebp and avifenc from one of known colors: each shows those colors, as in a viewer
// that knows profiles. The profiles are written here; ImageMagick converts by its own library (lcms).
import SoradAPI
import SoradMedia
import SoradSystem
import Testing

/// An ICC profile of a display, version 4: three columns of XYZ (D50), and one curve for all channels.
private func displayProfile(_ columns: [[Double]], _ curve: [UInt8]) -> [UInt8] {
    func number(_ value: Int, _ count: Int = 4) -> [UInt8] {
        (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    func fixed(_ value: Double) -> [UInt8] { number(Int((value * 65_536).rounded())) }
    func xyz(_ values: [Double]) -> [UInt8] { Array("XYZ ".utf8) + number(0) + values.flatMap(fixed) }
    let white = [0.9642, 1, 0.8249]
    let tags: [(String, [UInt8])] =
        zip(["rXYZ", "gXYZ", "bXYZ"], columns).map { ($0, xyz($1)) } + ["rTRC", "gTRC", "bTRC"].map { ($0, curve) } + [("wtpt", xyz(white))]
    var table = number(tags.count)
    var data: [UInt8] = []
    for (name, content) in tags {
        table += Array(name.utf8) + number(132 + 12 * tags.count + data.count) + number(content.count)
        data += content
    }
    var head = number(128 + table.count + data.count) + Array("lcms".utf8) + number(0x0430_0000) + Array("mntrRGB XYZ ".utf8)
    head += [UInt8](repeating: 0, count: 12) + Array("acsp".utf8) + [UInt8](repeating: 0, count: 28) + white.flatMap(fixed)
    return head + [UInt8](repeating: 0, count: 128 - head.count) + table + data
}

private func parametric(_ kind: Int, _ values: [Double]) -> [UInt8] {
    Array("para".utf8) + [0, 0, 0, 0, 0, UInt8(kind), 0, 0]
        + values.flatMap { value in
            let fixed = Int((value * 65_536).rounded())
            return (0..<4).reversed().map { UInt8(truncatingIfNeeded: fixed >> (8 * $0)) }
        }
}

private func table(_ count: Int, gamma: Double) -> [UInt8] {
    let values = (0..<count).flatMap { index -> [UInt8] in
        var value = 65_535.0
        for _ in 0..<Int(gamma) { value *= Double(index) / Double(count - 1) }
        return [UInt8(Int(value) >> 8), UInt8(Int(value) & 255)]
    }
    return Array("curv".utf8) + [0, 0, 0, 0, 0, 0, UInt8(count >> 8), UInt8(count & 255)] + values
}

private let sRGBColumns = [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
private let p3Columns = [[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]]
private let adobeColumns = [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
private let sRGBCurve = parametric(3, [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045])

private let quarters: [[Int]] = [[200, 40, 40], [40, 180, 60], [50, 70, 200], [128, 128, 128]]

@Suite struct ColorProfileTests {
    private let folder: ScratchDirectory

    init() throws {
        folder = try ScratchDirectory()
        var picture = Array("P6\n96 64\n255\n".utf8)
        for y in 0..<64 {
            for x in 0..<96 { picture += quarters[y / 32 * 2 + x / 48].map { UInt8($0) } }
        }
        for (name, bytes) in [
            ("base.ppm", picture), ("srgb.icc", displayProfile(sRGBColumns, sRGBCurve)), ("p3.icc", displayProfile(p3Columns, sRGBCurve)),
            ("adobe.icc", displayProfile(adobeColumns, Array("curv".utf8) + [0, 0, 0, 0, 0, 0, 0, 1, 2, 51, 0, 0])),
            ("table.icc", displayProfile(adobeColumns, table(300, gamma: 2))),
            ("power.icc", displayProfile(p3Columns, parametric(0, [1.8]))),
        ] { try writeDurably(bytes, named: name, in: folder.path) }
    }

    private func run(_ command: String) throws {
        let words = command.split(separator: " ").map { String($0.replacing("@", with: folder.path)) }
        _ = try output(of: words[0], Array(words.dropFirst()))
    }

    private static let from = "convert-im6.q16 @/base.ppm -profile @/srgb.icc -profile"

    @Test(arguments: [
        ("p3.png", ["\(from) @/p3.icc @/p3.png"]), ("adobe.png", ["\(from) @/adobe.icc @/adobe.png"]),
        ("table.png", ["\(from) @/table.icc @/table.png"]), ("power.png", ["\(from) @/power.icc @/power.png"]),
        ("deep.png", ["\(from) @/p3.icc -depth 16 PNG48:@/deep.png"]),
        ("p3.jpg", ["\(from) @/p3.icc -quality 98 -sampling-factor 1x1 @/p3.jpg"]),
        ("adobe.jpg", ["\(from) @/adobe.icc -quality 98 -sampling-factor 1x1 -interlace JPEG @/adobe.jpg"]),
        ("srgb.jpg", ["convert-im6.q16 @/base.ppm -profile @/srgb.icc -quality 98 @/srgb.jpg"]),
        ("p3.tiff", ["\(from) @/p3.icc @/p3.tiff"]), ("lzw.tiff", ["\(from) @/adobe.icc -compress LZW @/lzw.tiff"]),
        ("p3.webp", ["\(from) @/p3.icc @/p3.png", "cwebp -quiet -lossless -metadata all @/p3.png -o @/p3.webp"]),
        ("p3.avif", ["\(from) @/p3.icc @/p3.png", "avifenc -l @/p3.png @/p3.avif"]),
        ("named.avif", ["\(from) @/p3.icc @/p3.png", "avifenc -l --ignore-icc --cicp 12/13/0 @/p3.png @/named.avif"]),
        ("solid.png", ["\(from) @/p3.icc -alpha set PNG32:@/solid.png"]),
    ])
    func colorsAreThoseOfTheProfile(name: String, commands: [String]) throws {
        for command in commands { try run(command) }
        try check(name, quarters)
    }

    private func check(_ name: String, _ expected: [[Int]]) throws {
        _ = try inspectMedia(at: folder.path + "/" + name)
        let frame = try #require(try FrameReader(folder.path + "/" + name, width: 96, height: 64, count: 1, fps: 8).next())
        for (index, color) in expected.enumerated() {
            let place = ((16 + index / 2 * 32) * 96 + 24 + index % 2 * 48) * 3
            let found = frame[place..<place + 3].map { Int($0) }
            #expect(zip(found, color).allSatisfy { abs($0 - $1) <= 4 }, "\(name), quarter \(index): \(found), not \(color)")
        }
    }

    /// The right half is half transparent there: its colors are converted before they are put on white.
    @Test func transparencyIsMixedAfterTheConversion() throws {
        try run("\(Self.from) @/p3.icc -alpha set -region 48x64+48+0 -channel A -evaluate set 50% +channel +region PNG32:@/half.png")
        try check("half.png", quarters.enumerated().map { $0 % 2 == 0 ? $1 : $1.map { ($0 + 255) / 2 } })
    }

    /// PNG's code points for color: a picture in PQ as screenshots of HDR displays are, with BT.2020's primaries.
    @Test func codePointsOfPNGCount() throws {
        try run(
            "ffmpeg -v error -y -i @/base.ppm -vf format=gbrpf32le,zscale=tin=iec61966-2-1:pin=bt709:min=gbr:rin=full:t=smpte2084:p=bt2020:m=gbr:r=full:npl=203,format=rgb48be -update 1 @/pq.png"
        )
        let file = try folder.bytes(of: "pq.png")
        // Signature and header take 33 bytes.
        let chunk = Array("cICP".utf8) + [9, 16, 0, 1]
        let sum = crc32(chunk[...])
        let whole = file[..<33] + [0, 0, 0, 4] + chunk + (0..<4).reversed().map { UInt8(truncatingIfNeeded: sum >> (8 * UInt32($0))) }
        try writeDurably(Array(whole) + file[33...], named: "pq.png", in: folder.path)
        try check("pq.png", quarters)
    }

    @Test func onlyWhatCanBeReadChangesColors() throws {
        func read(_ bytes: [UInt8]) throws -> ColorProfile? { try ColorProfile.read(bytes, of: "PNG") }
        let p3 = displayProfile(p3Columns, sRGBCurve)
        #expect(try read(p3) != nil)
        #expect(try read(displayProfile(sRGBColumns, sRGBCurve)) == nil)
        for count in [0, 100, 131, 140, 300, p3.count - 40] { #expect(try read(Array(p3.prefix(count))) == nil, "\(count)") }
        for (space, words) in [("CMYK", "printing colors"), ("Lab ", "Lab")] {
            var other = p3
            other.replaceSubrange(16..<20, with: Array(space.utf8))
            let error = #expect(throws: SoradError.self) { try read(other) }
            #expect(error?.kind == .badInput && error?.message.contains(words) == true)
        }
        // Every byte of it wrong in turn: no trap.
        for index in p3.indices {
            var damaged = p3
            damaged[index] ^= 0xFF
            if let profile = try? read(damaged) { #expect(profile.curves.map { $0.light(0.5) }.count == 3) }
        }
    }

    @Test func packedStreamsAreUnpacked() throws {
        // Python's zlib.compress of b"hello hello hello hello" at level 9, and of b"abc" without compression.
        let packed: [UInt8] = [0x78, 0xDA, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0x57, 0xC8, 0x40, 0x27, 0x01, 0x68, 0x03, 0x08, 0xB1]
        let stored: [UInt8] = [0x78, 0x01, 0x01, 0x03, 0x00, 0xFC, 0xFF, 0x61, 0x62, 0x63, 0x02, 0x4D, 0x01, 0x27]
        #expect(inflated(packed[...], limit: 100) == Array("hello hello hello hello".utf8))
        #expect(inflated(stored[...], limit: 3) == Array("abc".utf8))
        #expect(inflated(stored[...], limit: 2) == nil && inflated(packed[...], limit: 22) == nil)
        for stream in [packed, stored] {
            for count in 0..<stream.count { #expect(inflated(stream.prefix(count), limit: 100) == nil) }
            for bit in 0..<stream.count * 8 {
                var damaged = stream
                damaged[bit / 8] ^= 1 << UInt8(bit % 8)
                let result = inflated(damaged[...], limit: 100)
                // A few bits fill up a byte.
                #expect(result == nil || result == inflated(stream[...], limit: 100), "bit \(bit)")
            }
        }
    }
}
