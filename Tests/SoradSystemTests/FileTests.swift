// Mapped files and files that appear whole: what may be mapped, what a change under the mapping does, and what a failed writer leaves.
import Glibc
import SoradSystem
import Testing

@Suite struct FileTests {
    /// A new directory under /tmp; the test removes what it puts there.
    private static func folder() throws -> String {
        var template = Array("/tmp/sorad-system-tests-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil }
        try #require(made)
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func write(_ path: String, _ bytes: [UInt8]) throws {
        try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC).write(bytes)
    }

    private static func kind(_ path: String) -> SoradError.Kind? {
        do throws(SoradError) {
            _ = try MappedFile(path)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test func mappedBytesAreTheFiles() throws {
        let folder = try Self.folder()
        let path = folder + "/file"
        defer { unsafe unlink(path); unsafe rmdir(folder) }
        try Self.write(path, (0..<10_000).map { UInt8(truncatingIfNeeded: $0) })
        let file = try MappedFile(path)
        let range = MappedRange(file: file, offset: 255, count: 3)
        #expect(file.size == 10_000 && range.array == [255, 0, 1])
        unsafe unlink(path)
        #expect(range.array == [255, 0, 1], "the mapping outlives the name")
        try file.checkUnchanged()
    }

    @Test func onlyRegularFilesWithContentsAreMapped() throws {
        let folder = try Self.folder()
        let empty = folder + "/empty"
        let pipe = folder + "/pipe"
        defer { unsafe unlink(empty); unsafe unlink(pipe); unsafe rmdir(folder) }
        try Self.write(empty, [])
        unsafe mkfifo(pipe, 0o600)
        #expect(Self.kind(empty) == .badInput)
        #expect(Self.kind(folder) == .badInput)
        #expect(Self.kind(pipe) == .badInput)
        #expect(Self.kind("/dev/zero") == .badInput)
        #expect(Self.kind(folder + "/none") == .notFound)
        #expect(Self.kind(empty + "/below") == .notFound)
    }

    @Test func changesAreNoticed() throws {
        let folder = try Self.folder()
        let path = folder + "/file"
        defer { unsafe unlink(path); unsafe rmdir(folder) }
        try Self.write(path, [1, 2, 3])
        let file = try MappedFile(path)
        unsafe truncate(path, 2)
        #expect(throws: SoradError.self) { try file.checkUnchanged() }
        unsafe truncate(path, 3)
        var old = [timespec(tv_sec: 5, tv_nsec: 0), timespec(tv_sec: 5, tv_nsec: 0)]
        unsafe utimensat(AT_FDCWD, path, &old, 0)
        #expect(throws: SoradError.self) { try file.checkUnchanged() }
    }

    /// What a killed writer left goes when the next one begins; what a living one writes stays.
    @Test func remainsOfDeadWritersAreRemoved() throws {
        let folder = try Self.folder()
        let (dead, living) = (folder + "/.model.gguf.4711.partial", folder + "/.model.gguf.12.partial")
        let others = ["/.model.gguf.x.partial", "/.other.gguf.4711.partial", "/model.gguf.partial"].map { folder + $0 }
        defer {
            for path in [dead, living] + others { removeFile(path) }
            unsafe rmdir(folder)
        }
        for path in [dead, living] + others { try Self.write(path, [1]) }
        let writer = try FileDescriptor(opening: living, flags: O_WRONLY)
        #expect(try writer.tryLock())
        AtomicFile.removeRemains(of: folder + "/model.gguf")
        #expect(!fileExists(dead) && fileExists(living) && others.allSatisfy(fileExists))
    }

    /// A file that can be continued keeps its name, and what is behind the place where it is continued goes.
    @Test func aResumableFileIsContinued() throws {
        let folder = try Self.folder()
        let path = folder + "/file"
        defer { removeFile(path); removeFile(path + ".partial"); unsafe rmdir(folder) }
        do {
            var file = try AtomicFile(path, isResumable: true)
            try file.resume(at: 0)
            try file.reserve(1 << 20)
            try file.write([UInt8](repeating: 7, count: 2 << 20))
        }
        #expect(!fileExists(path))
        var file = try AtomicFile(path, isResumable: true)
        #expect(try file.read(at: 3, count: 2) == [7, 7])
        try file.resume(at: 5)
        try file.write([1, 2])
        try file.commit()
        #expect(try MappedFile(path).bytes.array == [7, 7, 7, 7, 7, 1, 2] && !fileExists(path + ".partial"))
    }

    @Test func aShrunkenFileEndsTheProcessWithASentence() async throws {
        let result = await #expect(processExitsWith: .exitCode(74), observing: [\.standardErrorContent]) {
            let path = "/tmp/sorad-shrinking-file.\(getpid())"
            try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC).write([UInt8](repeating: 1, count: 20_000))
            MappedFile.explainLostPages()
            let file = try MappedFile(path)
            unsafe truncate(path, 100)
            unsafe unlink(path)
            let sum = file.bytes.array.reduce(0) { $0 + Int($1) }
            exit(Int32(sum & 1))
        }
        let said = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(said.contains("sorad-shrinking-file") && said.contains("became shorter"))
    }

    @Test func committedFilesReplaceAndOthersLeaveNothing() throws {
        let folder = try Self.folder()
        let path = folder + "/file"
        defer { unsafe unlink(path); unsafe rmdir(folder) }
        var first = try AtomicFile(path)
        try first.write(Array("hello ".utf8))
        try first.write([UInt8](repeating: 0x78, count: 3 << 20))
        try first.overwrite(Array("J".utf8), at: 0)
        #expect(!fileExists(path))
        try first.commit()
        #expect(try MappedFile(path).size == 6 + 3 << 20)
        do {
            var second = try AtomicFile(path)
            try second.write([1])
            // Nothing that a killed process could leave behind.
            #expect(try directoryEntries(folder) == ["file"])
        }
        let file = try MappedFile(path)
        #expect(MappedRange(file: file, offset: 0, count: 7).array == Array("Jello x".utf8))
        unsafe unlink(path)
        #expect(unsafe rmdir(folder) == 0, "a temporary file was left behind")
    }

    @Test func onlyPlainFilesAreReplacedAndTheyKeepTheirRights() throws {
        let folder = try Self.folder()
        defer { try? removeDirectory(folder) }
        func write(_ name: String, _ text: String) throws {
            var file = try AtomicFile("\(folder)/\(name)")
            try file.write(Array(text.utf8))
            try file.commit()
        }
        func content(_ name: String) throws -> String {
            let file = try FileDescriptor(openingForReading: "\(folder)/\(name)")
            return String(decoding: try file.read(upTo: 100), as: UTF8.self)
        }
        try write("secret", "old")
        unsafe chmod("\(folder)/secret", 0o600)
        unsafe symlink("secret", "\(folder)/link")
        unsafe symlink("\(folder)/missing", "\(folder)/dangling")
        unsafe symlink("circle", "\(folder)/circle")
        unsafe mkfifo("\(folder)/pipe", 0o600)
        unsafe symlink("pipe", "\(folder)/pipe-link")
        try write("link", "new")
        try write("dangling", "made")
        #expect(try content("secret") == "new" && content("missing") == "made")
        #expect(FilePlace("\(folder)/secret", followingLinks: false)?.mode == 0o600)
        for name in ["link", "dangling"] { #expect(FilePlace("\(folder)/\(name)", followingLinks: false)?.kind == .link) }
        for (name, words) in [("pipe", "a pipe is there"), ("pipe-link", "a pipe is there"), ("circle", "symbolic links")] {
            do throws(SoradError) {
                _ = try AtomicFile("\(folder)/\(name)")
                Issue.record("\(name) was taken")
            } catch { #expect(error.kind == .cannotCreate && error.message.contains(words), "\(error)") }
        }
        #expect(throws: SoradError.self) { _ = try AtomicFile("/dev/null") }
        #expect(throws: SoradError.self) { _ = try AtomicFile(folder) }
        #expect(FilePlace("\(folder)/pipe", followingLinks: false)?.kind == .pipe)
        // The longest name that a file may have.
        try write(String(repeating: "n", count: 255), "long")
        #expect(try content(String(repeating: "n", count: 255)) == "long")
        guard !isRoot() else {
            unsafe chown("\(folder)/secret", 1234, 2345)
            try write("secret", "newer")
            let place = FilePlace("\(folder)/secret", followingLinks: false)
            #expect(place?.owner == 1234 && place?.group == 2345 && place?.mode == 0o600)
            return
        }
        unsafe chmod("\(folder)/secret", 0o400)
        #expect(throws: SoradError.self) { _ = try AtomicFile("\(folder)/secret") }
    }

    @Test func whatCannotBeWrittenIsSaid() {
        for (path, kind) in [("/nowhere/file", SoradError.Kind.cannotCreate), ("/dev/null/file", .cannotCreate), ("/tmp/", .usage)] {
            do throws(SoradError) {
                let file = try AtomicFile(path)
                try file.commit()
                Issue.record("\(path) was written")
            } catch {
                #expect(error.kind == kind && error.message.contains(path))
            }
        }
    }
}
