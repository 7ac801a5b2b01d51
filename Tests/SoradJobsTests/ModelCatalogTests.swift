// Which model files are looked at again, and which are not.
import Glibc
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct ModelCatalogTests {
    private let log = Log(program: "test", level: .error, environment: [:])
    /// Everything on disk was changed long before.
    private let later = TimeSource(monotonic: { MonotonicTime.now() }, unixMilliseconds: { TimeSource.system.unixMilliseconds() + 60_000 })

    /// A directory with a model file and a worker that writes down that it was asked.
    private func prepare() throws -> (directory: TemporaryDirectory, worker: String, model: String) {
        let directory = try TemporaryDirectory()
        try writeDurably(Array(ClipRequestTests.model.json.text().utf8), named: "mini.gguf", in: directory.path)
        let script = "#!/bin/sh\necho asked >> \(directory.path)/log\ncat \"$2\"\n"
        try writeDurably(Array(script.utf8), named: "worker", in: directory.path)
        _ = unsafe chmod(directory.path + "/worker", 0o700)
        return (directory, directory.path + "/worker", directory.path + "/mini.gguf")
    }

    private func service(_ directory: TemporaryDirectory) throws -> JobService {
        try JobService(
            directory: directory.path, settings: JobService.Settings(), time: .system, wake: try EventCounter(.signal), log: log)
    }

    private func questions(_ directory: TemporaryDirectory) throws -> Int {
        guard fileExists(directory.path + "/log") else { return 0 }
        let file = try FileDescriptor(openingForReading: directory.path + "/log")
        return try file.read(at: 0, count: 10_000).count { $0 == UInt8(ascii: "\n") }
    }

    private func scan(_ model: String, _ worker: String, _ directory: TemporaryDirectory, time: TimeSource) throws -> [ModelCatalog.Entry] {
        let catalog = try ModelCatalog()
        catalog.scan([model], worker: worker, service: try service(directory), time: time, log: log)
        return catalog.entries
    }

    @Test func anUnchangedFileIsReadOnce() throws {
        let (directory, worker, model) = try prepare()
        for _ in 0..<3 { #expect(try scan(model, worker, directory, time: later).map(\.info) == [ClipRequestTests.model]) }
        #expect(try questions(directory) == 1)
    }

    @Test func aChangedFileOrWorkerIsAskedAgain() throws {
        let (directory, worker, model) = try prepare()
        _ = try scan(model, worker, directory, time: later)
        var other = ClipRequestTests.model
        other.id = "other"
        try writeDurably(Array(other.json.text().utf8), named: "mini.gguf", in: directory.path)
        #expect(try scan(model, worker, directory, time: later).map(\.info.id) == ["other"])
        #expect(try questions(directory) == 2)
        _ = unsafe chmod(worker, 0o750)
        #expect(try scan(model, worker, directory, time: later).map(\.info.id) == ["other"])
        #expect(try questions(directory) == 3)
    }

    @Test func aFileThatWasJustWrittenIsNotRememberedYet() throws {
        let (directory, worker, model) = try prepare()
        for _ in 0..<2 { #expect(try scan(model, worker, directory, time: .system).count == 1) }
        #expect(try questions(directory) == 2)
    }

    @Test func aBrokenFileIsNotRemembered() throws {
        let (directory, worker, model) = try prepare()
        try writeDurably(Array("no model".utf8), named: "mini.gguf", in: directory.path)
        for _ in 0..<2 { #expect(try scan(model, worker, directory, time: later).isEmpty) }
        #expect(try questions(directory) == 2)
    }
}
