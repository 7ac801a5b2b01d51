import Glibc
import SoradSystem
import Testing

@Suite struct SettingsTests {
    private struct Values: Sendable {
        var queueLimit = 1
        var models: [String] = []
        var names: [String] = []
        var wait = Duration.seconds(3)
        var level = Log.Level.info
        var name = ""
    }

    private let table = SettingsTable(Values()) {
        Setting("queue-limit", 1...10, \.queueLimit, "jobs that may wait")
        Setting("model", \.models, "FILE", default: "none", readsColons: true, "model files")
        Setting("wait", seconds: 0...60, \.wait, "time to wait")
        Setting("level", \.level, "lines of the log")
        Setting("name", \.name, "NAME", default: "the machine's", "a name")
        Setting("alias", \.names, "NAME", default: "none", "other names")
    }

    private func values(_ words: [String] = [], _ environment: [String: String] = [:], _ files: [SettingsFile] = []) throws -> Values {
        try load(words, environment, files).values
    }

    private func load(
        _ words: [String] = [], _ environment: [String: String] = [:], _ files: [SettingsFile] = []
    ) throws -> (values: Values, warnings: [String]) {
        let command = Command("test", options: table.options, summary: "", areSettings: true) { _ in }
        return try table.values(try command.parse(words), environment: environment, files: files)
    }

    @Test func theStrongerSourceWins() throws {
        let main = SettingsFile(path: "main.conf", text: "queue-limit = 5\n")
        let later = SettingsFile(path: "10.conf", text: "[sorad]\n# more\nqueue-limit=6")
        #expect(try values().queueLimit == 1)
        #expect(try values([], [:], [main]).queueLimit == 5)
        #expect(try values([], [:], [main, later]).queueLimit == 6)
        #expect(try values([], ["SORAD_QUEUE_LIMIT": "7"], [main, later]).queueLimit == 7)
        #expect(try values(["--queue-limit", "8"], ["SORAD_QUEUE_LIMIT": "7"], [main, later]).queueLimit == 8)
        #expect(try values(["--queue-limit=9"]).queueLimit == 9)
        #expect(try values(["--queue-limit", "8", "--queue-limit", "9"]).queueLimit == 9)
    }

    @Test func aRowSetsItsPropertyInItsType() throws {
        let given = try values(["--wait", "20", "--level", "debug", "--name", "x"])
        #expect(given.wait == .seconds(20) && given.level == .debug && given.name == "x")
        #expect(table.options.map(\.defaultText) == ["1", "none", "3", "info", "the machine's", "none"])
    }

    @Test func listsComeFromRepetition() throws {
        #expect(try values(["--model", "a", "--model=b"]).models == ["a", "b"])
        #expect(try values([], ["SORAD_MODEL": "a, b,"]).models == ["a", "b"])
        #expect(try values([], ["SORAD_ALIAS": "a:1,b c"]).names == ["a:1", "b c"])
        // The form of earlier versions, where a comma or an address in brackets does not speak against it.
        #expect(try values([], ["SORAD_MODEL": "a:b"]).models == ["a", "b"])
        #expect(try values([], ["SORAD_MODEL": "a:b,c"]).models == ["a:b", "c"])
        #expect(try values([], ["SORAD_MODEL": "[::1]"]).models == ["[::1]"])
        #expect(try values([], ["SORAD_ALIAS": "a:b"]).names == ["a:b"])
        #expect(try values([], [:], [SettingsFile(path: "f", text: "model = a\nmodel = b\nmodel =\nmodel = c")]).models == ["c"])
    }

    @Test func unknownKeysInFilesWarnAndUnknownFlagsFail() throws {
        let given = try load([], [:], [SettingsFile(path: "f.conf", text: "speed = 9\nnonsense\nqueue-limit = 2")])
        #expect(given.warnings.count == 2)
        #expect(given.warnings[0].hasPrefix("f.conf:1: the setting \"speed\" is unknown"))
        #expect(given.values.queueLimit == 2)
        for words in [["--speed", "9"], ["9"], ["--model"]] {
            let error = #expect(throws: SoradError.self) { try load(words) }
            #expect(error?.exitCode == 64)
        }
    }

    @Test func aWrongValueNamesItsSource() throws {
        for (text, name) in [("many", "f.conf"), ("0", "f.conf"), ("11", "f.conf")] {
            let error = #expect(throws: SoradError.self) {
                try values([], [:], [SettingsFile(path: name, text: "queue-limit = \(text)")])
            }
            #expect(error?.message == "the setting queue-limit must be a whole number from 1 to 10, not \"\(text)\" (f.conf)")
            #expect(error?.kind == .configuration)
        }
    }

    /// The sample says nothing until a line's # is removed, and then the default, where that is a value.
    @Test func theSampleFileHoldsTheDefaults() throws {
        let sample = table.sampleFile(of: "test")
        let untouched = try load([], [:], [SettingsFile(path: "f", text: sample)])
        #expect(untouched.warnings.isEmpty && untouched.values.queueLimit == 1)
        let lines = sample.split(separator: "\n").filter { $0.hasPrefix("#") && !$0.hasPrefix("# ") }
        #expect(lines == ["#queue-limit = 1", "#model = none", "#wait = 3", "#level = info", "#name = ", "#alias = none"])
        let text = lines.map { $0.dropFirst() }.joined(separator: "\n")
        #expect(try load([], [:], [SettingsFile(path: "f", text: text)]).warnings.isEmpty)
    }
}

@Suite struct CommandTests {
    private let command = Command(
        "test make", [Argument("INPUT", "a file"), Argument("OTHER", isOptional: true, "another")],
        options: [
            Option("output", short: "o", .text("FILE"), "where to"), Option("size", .size, "how large"),
            Option("count", .integer("N", 1...3), variable: "COUNT", "how often"), Option("fast", "no waiting"),
            Option("keep", .text("NAME"), isList: true, "names"),
        ], summary: "makes a thing"
    ) { _ in }

    @Test func optionsStandAnywhere() throws {
        let parsed = try command.parse(["-o", "x", "in", "--fast", "--keep=a", "--keep", "b", "--", "--odd"])
        #expect(parsed.words == ["in", "--odd"] && parsed["output"] == "x" && parsed.has("fast") && parsed.all("keep") == ["a", "b"])
        #expect(try command.parse(["in"], environment: ["COUNT": "2"])["count"] == "2")
        #expect(try command.parse(["in", "--count", "1"], environment: ["COUNT": "2"])["count"] == "1")
        #expect(try command.parse(["--help"]).has("help"))
    }

    @Test(
        arguments: [
            ([], "make needs INPUT"), (["a", "b", "c"], "\"c\" is one word too many for make"),
            (["a", "--fats"], "did you mean \"--fast\"?"),
            (["a", "--fast=1"], "--fast takes no value"), (["a", "--size", "1"], "--size must be WIDTHxHEIGHT in pixels"),
            (["a", "--count", "4"], "--count must be a whole number from 1 to 3, not \"4\""), (["a", "-o"], "--output needs a value"),
            (["a", "-o", "x", "-o", "y"], "--output is given twice"),
        ] as [([String], String)])
    func wrongUsageNamesTheWordAtFault(words: [String], message: String) {
        let error = #expect(throws: SoradError.self) { try command.parse(words) }
        #expect(error?.kind == .usage && error?.message.contains(message) == true && error?.hint == "see test make --help", "\(words)")
    }

    @Test func theHelpShowsEveryOptionAndNoLineIsLong() {
        let help = command.help()
        for part in ["test make: makes a thing", "INPUT [OTHER]", "-o, --output FILE", "--count N", "[$COUNT]", "-h, --help"] {
            #expect(help.contains(part), "\(part)")
        }
        #expect(help.split(separator: "\n").allSatisfy { $0.count <= 100 })
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
        let taken = #expect(throws: SoradError.self) { try FileDescriptor.listen(replacingStale: path + "/file", mode: 0o660).take() }
        #expect(taken?.message.hasSuffix("a file is there") == true)
        let long = path + "/" + String(repeating: "s", count: 107)
        let tooLong = #expect(throws: SoradError.self) { try FileDescriptor.listen(replacingStale: long, mode: 0o660).take() }
        #expect(tooLong?.message.contains("and a socket's may have 107") == true)
        _ = live.rawValue
    }
}
