import Glibc
import SoradSystem
import Testing

@Suite struct SettingsTests {
    private let table = SettingsTable([
        SettingDefinition("queue-limit", "N", default: "1", "How many."),
        SettingDefinition("model", "FILE", default: "none", "Which.", isList: true),
    ])

    private func settings(_ arguments: [String] = [], _ environment: [String: String] = [:], _ files: [(path: String, text: String)] = [])
        throws -> Settings
    {
        table.settings(try table.parse(arguments: arguments), environment: environment, files: files)
    }

    @Test func theStrongerSourceWins() throws {
        let main = (path: "main.conf", text: "queue-limit = 5\n")
        let later = (path: "10.conf", text: "[sorad]\n# more\nqueue-limit=6")
        #expect(try settings().text("queue-limit") == nil)
        #expect(try settings([], [:], [main]).text("queue-limit") == "5")
        #expect(try settings([], [:], [main, later]).text("queue-limit") == "6")
        #expect(try settings([], ["SORAD_QUEUE_LIMIT": "7"], [main, later]).text("queue-limit") == "7")
        #expect(try settings(["--queue-limit", "8"], ["SORAD_QUEUE_LIMIT": "7"], [main, later]).text("queue-limit") == "8")
        #expect(try settings(["--queue-limit=9"]).integer("queue-limit", in: 1...10, default: 1) == 9)
    }

    @Test func listsComeFromRepetition() throws {
        #expect(try settings(["--model", "a", "--model=b"]).list("model") == ["a", "b"])
        #expect(try settings([], ["SORAD_MODEL": "a:b"]).list("model") == ["a", "b"])
        #expect(try settings([], [:], [("f", "model = a\nmodel = b\nmodel =\nmodel = c")]).list("model") == ["c"])
    }

    @Test func unknownKeysInFilesWarnAndUnknownFlagsFail() throws {
        let given = try settings([], [:], [("f.conf", "speed = 9\nnonsense\nqueue-limit = 2")])
        #expect(given.warnings.count == 2)
        #expect(given.warnings[0].hasPrefix("f.conf:1: the setting \"speed\" is unknown"))
        #expect(given.text("queue-limit") == "2")
        for arguments in [["--speed", "9"], ["9"], ["--model"]] {
            let error = #expect(throws: SoradError.self) { try table.parse(arguments: arguments) }
            #expect(error?.exitCode == 64)
        }
    }

    @Test func aWrongValueNamesItsSource() throws {
        let error = #expect(throws: SoradError.self) {
            try settings([], [:], [("f.conf", "queue-limit = many")]).integer("queue-limit", in: 1...10, default: 1)
        }
        #expect(error?.message == "The setting queue-limit must be a whole number from 1 to 10, not \"many\" (f.conf).")
    }
}

@Suite struct DurableFileTests {
    private func scratch() throws -> String {
        let path = "/tmp/sorad-files-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        try makeDirectories(path)
        return path
    }

    @Test func aDurableWriteReplacesTheWholeFileAndLeavesNothingElse() throws {
        let path = try scratch()
        defer { try? removeDirectory(path) }
        try writeDurably([1, 2, 3], named: "f", in: path)
        try writeDurably([4], named: "f", in: path)
        #expect(try directoryEntries(path) == ["f"])
        #expect(try FileDescriptor(openingForReading: path + "/f").read(upTo: 10) == [4])
        #expect(throws: Errno.self) { try writeDurably([1], named: "f", in: path + "/missing") }
    }

    @Test func aLockIsHeldOnce() throws {
        let path = try scratch()
        defer { try? removeDirectory(path) }
        let first = try FileDescriptor(opening: path + "/lock", flags: O_RDWR | O_CREAT)
        #expect(try first.tryLock())
        #expect(try FileDescriptor(opening: path + "/lock", flags: O_RDWR).tryLock() == false)
    }

    @Test func removingFollowsNoLinkOutOfTheDirectory() throws {
        let path = try scratch()
        let outside = try scratch()
        defer { try? removeDirectory(outside) }
        try writeDurably([1], named: "kept", in: outside)
        try makeDirectories(path + "/inner")
        _ = unsafe symlink(outside, path + "/inner/link")
        try removeDirectory(path)
        #expect(!directoryExists(path))
        #expect(try directoryEntries(outside) == ["kept"])
    }

    @Test func aStaleSocketIsReplacedAndALiveOneIsNot() throws {
        let path = try scratch()
        defer { try? removeDirectory(path) }
        do { _ = try FileDescriptor.listen(replacingStale: path + "/s", mode: 0o660) }
        let live = try FileDescriptor.listen(replacingStale: path + "/s", mode: 0o660)
        let error = #expect(throws: SoradError.self) { try FileDescriptor.listen(replacingStale: path + "/s", mode: 0o660).take() }
        #expect(error?.kind == .unavailable)
        try writeDurably([1], named: "file", in: path)
        #expect(throws: SoradError.self) { try FileDescriptor.listen(replacingStale: path + "/file", mode: 0o660).take() }
        _ = live.rawValue
    }
}
