// Tar files: what is written comes back, other programs' archives are read, and hostile ones get a sentence.
import SoradSystem
import Testing

@Suite struct TarArchiveTests {
    private func written(_ entries: [TarArchive.Entry]) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try TarArchive.write(entries) { bytes += $0 }
        return bytes
    }

    private func read(_ bytes: [UInt8]) throws(SoradError) -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        try TarArchive.read(size: bytes.count, from: { offset, count in Array(bytes[offset..<offset + count]) }) { name, size in
            files[name] = []
            return { files[name]? += $0 }
        }
        return files
    }

    /// The archive with other bytes at a place, and the right checksum again.
    private func changed(_ bytes: [UInt8], _ place: Int, _ text: String) -> [UInt8] {
        var bytes = bytes
        for (index, byte) in text.utf8.enumerated() { bytes[place + index] = byte }
        for index in 148..<156 { bytes[index] = 32 }
        let sum = bytes[..<512].reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        for (index, byte) in (String(repeating: "0", count: 6 - digits.count) + digits).utf8.enumerated() { bytes[148 + index] = byte }
        bytes[154] = 0
        return bytes
    }

    @Test(arguments: [0, 1, 511, 512, 513, 1_500_000]) func whatIsWrittenComesBack(_ count: Int) throws {
        let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let archive = try written([.init("plan.json", .bytes(content)), .init("given-first-frame", .bytes([1, 2, 3]))])
        #expect(archive.count % 512 == 0)
        #expect(try read(archive) == ["plan.json": content, "given-first-frame": [1, 2, 3]])
    }

    @Test func namesArePlain() {
        for name in ["plan.json", "checkpoint-0", "A_b-1.x"] { #expect(TarArchive.isName(name)) }
        for name in ["", ".", "..", ".hidden", "a/b", "/a", "a b", "ä", "a\0b", String(repeating: "a", count: 101)] {
            #expect(!TarArchive.isName(name), "\(name)")
        }
    }

    @Test func hostileArchivesGetASentence() throws {
        let good = try written([.init("plan.json", .bytes(Array("{}".utf8)))])
        var broken = good
        broken[0] ^= 1
        let hostile: [(String, [UInt8], String)] = [
            ("nothing", [], "ends early"), ("a checksum", broken, "checksum"),
            ("a path", changed(good, 0, "../../etc\0"), "something else"),
            ("an absolute path", changed(good, 0, "/tmp/xx\0\0"), "something else"),
            ("a symbolic link", changed(good, 156, "2"), "something else"), ("a folder", changed(good, 156, "5"), "something else"),
            ("a prefix", changed(good, 345, "x"), "something else"), ("a huge size", changed(good, 124, "77777777777"), "ends early"),
            ("a size that is none", changed(good, 124, "-0000000001"), "ends early"),
            ("no end", Array(good[..<1024]), "ends early"), ("twice the same", Array(good[..<1024]) + good, "twice"),
        ]
        for (what, bytes, words) in hostile {
            do {
                _ = try read(bytes)
                Issue.record("\(what) was taken")
            } catch {
                #expect(error.kind == .badInput && error.message.contains(words), "\(what): \(error)")
            }
        }
    }
}
