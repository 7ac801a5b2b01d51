// The hashes of a checkpoint's files are those of sha256sum, whatever the order of the work, and are made in step with it: that the disk is
// read once follows from how far ahead they may be.
import Glibc
import SoradConverter
import SoradSystem
import SoradTestSupport
import Testing

@Suite struct SourceHashesTests {
    private static let mebibyte = 1 << 20

    /// Two files of 12 and 5 MiB and a bit, and what they should hash to.
    private static func files(_ folder: TemporaryFolder) throws -> (files: [(name: String, path: String)], lines: [String]) {
        var files: [(name: String, path: String)] = []
        var lines: [String] = []
        for (name, count) in [("a", 12 * mebibyte + 7), ("b", 5 * mebibyte + 1)] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 9)) }
            let path = folder.path + "/" + name
            try FileDescriptor(creating: path).write(bytes)
            files.append((name, path))
            lines.append("\(name) \(SHA256.hexadecimal(SHA256.hash(bytes)))")
        }
        return (files, lines)
    }

    @Test(arguments: [[0, 1, 2, 3, 4], [4, 1, 3, 0, 2], [3, 4], []])
    func everyOrderGivesTheFilesHashes(order: [Int]) throws {
        let folder = try TemporaryFolder()
        let (files, lines) = try Self.files(folder)
        let (a, b) = (try MappedFile(files[0].path), try MappedFile(files[1].path))
        let places: [MappedRange?] = [
            MappedRange(file: a, offset: 100, count: 3_000_000), MappedRange(file: a, offset: 3_000_100, count: 9_000_000), nil,
            MappedRange(file: b, offset: 0, count: 5_000), MappedRange(file: b, offset: 5_000, count: 5 * Self.mebibyte - 5_000),
        ]
        let hashes = SourceHashes(files, items: order.map { places[$0] }, window: 0)
        for index in order.indices {
            try hashes.begin(index)
            #expect(hashes.hashed > index)
        }
        let (found, newest) = try hashes.wait()
        #expect(found == lines && newest == max(a.modified, b.modified))
    }

    /// The hash is never behind the work, and ahead of it by the window and no more.
    @Test func hashesStayInStep() throws {
        let folder = try TemporaryFolder()
        let (files, lines) = try Self.files(folder)
        let a = try MappedFile(files[0].path)
        let items = (0..<12).map { MappedRange(file: a, offset: $0 * Self.mebibyte, count: Self.mebibyte) }
        let hashes = SourceHashes(files, items: items, window: 3 * Self.mebibyte)
        for index in [0, 1, 5, 8, 11] {
            try hashes.begin(index)
            // Of the items that are not begun, those of the window, and the one whose beginning lies in it.
            let expected = min(12, index + 1 + 3)
            for _ in 0..<1000 where hashes.hashed < expected { usleep(1000) }
            usleep(20_000)
            #expect(hashes.hashed == expected)
        }
        #expect(try hashes.wait().lines == lines)
    }

    @Test(arguments: [false, true]) func aFileThatShrinksIsASentence(beforeTheFirstByte: Bool) throws {
        let folder = try TemporaryFolder()
        let (files, _) = try Self.files(folder)
        let a = try MappedFile(files[0].path)
        let items = (0..<12).map { MappedRange(file: a, offset: $0 * Self.mebibyte, count: Self.mebibyte) }
        func shrink() { #expect(unsafe truncate(files[0].path, off_t(4 * Self.mebibyte)) == 0) }
        if beforeTheFirstByte { shrink() }
        let hashes = SourceHashes(files, items: items, window: 0)
        try hashes.begin(0)
        if !beforeTheFirstByte { shrink() }
        let error = #expect(throws: SoradError.self) { for index in 1..<12 { try hashes.begin(index) } }
        #expect(error?.message.contains("became shorter") == true)
        #expect(throws: SoradError.self) { _ = try hashes.wait() }
    }
}
