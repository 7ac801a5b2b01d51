import SoradAPI
import SoradSystem
import Testing

@Suite struct UsageTests {
    @Test(
        arguments: [
            (["jbos"], "did you mean \"jobs\"?"), (["generate"], "generate needs PROMPT"),
            (["generate", "a", "red", "ball"], "\"red\" is one word too many"),
            (["generate", "x", "--sise", "1x1"], "did you mean \"--size\"?"),
            (["generate", "x", "--size", "abc"], "--size must be WIDTHxHEIGHT"), (["generate", "x", "--steps"], "--steps needs a value"),
            (["generate", "x", "--steps=1.5"], "--steps must be a whole number"),
            (["generate", "x", "--guidance", "nan"], "--guidance must be a number"),
            (["generate", "x", "--json=1"], "--json takes no value"),
            (["generate", "x", "--seed", "1", "--seed", "2"], "--seed is given twice"),

            (["get", "video_1", "--variant", "poster"], "one of video, thumbnail"),
            (["quota", "alice", "--jobs", "many", "--socket", "/x"], "--jobs must be a whole number or none"),
            (["quota", "--jobs", "1", "--socket", "/x"], "no user is named"),
            (["priority", "video_1", "high", "--socket", "/x"], "PRIORITY must be a whole number"),
            (["jobs", "--limit", "0"], "--limit must be 1 or more"), (["help", "dance"], "unknown command \"dance\""),
        ] as [([String], String)])
    func wrongUsageIsNamedWithAHint(arguments: [String], complaint: String) throws {
        let control = try Control(arguments)
        #expect(control.status() == 64)
        #expect(control.errors.hasPrefix("sorad-ctl: ") && control.errors.contains(complaint), "\(control.errors)")
        #expect(control.errors.contains("\nhint: "))
        #expect(control.output.isEmpty)
    }

    @Test func jsonAndTheClipDoNotShareStandardOutput() throws {
        let control = try Control(["generate", "x", "-o", "-", "--json"])
        #expect(control.status() == 64 && control.output.isEmpty)
        #expect(try json(control.errors)["error"]?["message"]?.string?.contains("cannot both go to standard output") == true)
    }

    @Test func theHelpKnowsEveryCommandAndItsFlags() throws {
        let overview = try Control(["help"])
        #expect(overview.status() == 0)
        for name in [
            "generate", "jobs", "show", "get", "cancel", "delete", "status", "models", "version", "help", "drain", "quota", "metrics",
        ] {
            #expect(overview.text.contains("\n  \(name) "))
            let help = try Control([name, "--help"])
            #expect(help.status() == 0)
            #expect(help.text.hasPrefix("sorad-ctl \(name): "))
            #expect(help.text.contains("--socket PATH"))
        }
        #expect(try Control(["--help"]).status() == 0)
    }

    /// Every status that a program can end with is in its help.
    @Test func theHelpNamesEveryExitStatus() throws {
        let statuses = Set(SoradError.Kind.allCases.map { SoradError($0, "").exitCode })
        for (program, arguments) in [
            ("sorad-ctl", ["help"]), ("sorad", ["--help"]), ("sorad-worker", ["--help"]), ("sorad-quantize", ["--help"]),
        ] {
            let output = try captureOutput(of: .init(Fixture.programs + "/" + program, arguments), timeout: .seconds(20), limit: 1 << 20)
            let help = String(decoding: output.standardOutput, as: UTF8.self)
            let list = help.split(separator: "Exit status:").last.map { " " + $0.split(separator: "\n").joined(separator: " ") } ?? ""
            for status in statuses { #expect(list.contains(" \(status) "), "\(program): \(status)") }
        }
    }

    @Test func theVersionIsData() throws {
        let plain = try Control(["--version"])
        #expect(plain.status() == 0)
        #expect(plain.text == "sorad-ctl \(soradVersion)\n")
        let machine = try Control(["version", "--json"])
        #expect(machine.status() == 0)
        #expect(try json(machine.text) == ["schema": "sorad.version/1", "version": .string(soradVersion)])
    }

    @Test func aMissingDaemonIsExitStatus69() throws {
        let named = try Control(["jobs", "--socket", "/nowhere/sorad.sock"])
        #expect(named.status() == 69)
        #expect(named.errors.contains("/nowhere/sorad.sock") && named.errors.contains("hint: "))
        let variable = try Control(["jobs"], environment: ["SORAD_SOCKET": "/nowhere/else.sock"])
        #expect(variable.status() == 69)
        #expect(variable.errors.contains("/nowhere/else.sock"))
    }
}
