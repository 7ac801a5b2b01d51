// Names, prefixes, aliases and options of commands, as hands type them. Nothing here needs a daemon.
import SoradSystem
import Testing

@Suite struct CommandTableTests {
    private func help(_ arguments: [String]) throws -> String {
        let control = try Control(arguments)
        #expect(control.status() == 0, "\(arguments): \(control.errors)")
        return control.text
    }

    @Test func theBareCommandPrintsTheHelp() throws {
        let bare = try help([])
        for words in [["help"], ["--help"], ["-h"]] { #expect(try help(words) == bare) }
        for heading in ["Make clips:", "Jobs:", "The service:", "Administration:"] { #expect(bare.contains("\n\(heading)\n")) }
        #expect(bare.contains("(also: ls, list, ps)"))
    }

    @Test func aCommandHasShortNames() throws {
        for (words, name) in [
            (["ls"], "jobs"), (["ps"], "jobs"), (["rm"], "delete"), (["gen"], "generate"), (["stat"], "status"), (["dra"], "drain"),
            (["usage"], "quota"),
        ] {
            #expect(try help(words + ["--help"]).hasPrefix("sorad-ctl \(name): "), "\(words)")
            #expect(try help(["help"] + words).hasPrefix("sorad-ctl \(name): "), "\(words)")
        }
        let unclear = try Control(["p"])
        #expect(
            unclear.status() == 64 && unclear.errors.contains("\"p\" is short for several commands: pause, priority"), "\(unclear.errors)")
    }

    @Test func aFamilyExplainsItself() throws {
        let family = try help(["key", "--help"])
        #expect(family.hasPrefix("sorad-ctl key: add, list, revoke\n"))
        for words in [["help", "key"], ["--help", "key"], ["ke", "-h"]] { #expect(try help(words) == family, "\(words)") }
        for (words, name) in [
            (["key", "add"], "key add"), (["key", "rev"], "key revoke"), (["key", "rm"], "key revoke"), (["key", "ls"], "key list"),
        ] {
            #expect(try help(words + ["--help"]).hasPrefix("sorad-ctl \(name): "), "\(words)")
        }
        let bare = try Control(["key"])
        #expect(bare.status() == 64 && bare.errors.contains("key needs one of add, list, revoke") && bare.errors.contains("key --help"))
        #expect(try help(["models", "--help"]).hasPrefix("sorad-ctl models: list the models"))
    }

    /// The statuses are where a script's author looks: in the help of the command.
    @Test func everyCommandNamesItsExitStatuses() throws {
        for words in [["jobs"], ["generate"], ["key", "add"], ["models", "verify"], ["doctor"]] {
            #expect(try help(words + ["--help"]).contains("Exit status: 0 done, 1 the job failed"), "\(words)")
        }
    }

    @Test func commonOptionsStandAnywhere() throws {
        for words in [
            ["--json", "version"], ["version", "--json"], ["--socket", "/x", "--json", "version"], ["--socket=/x", "ver", "--js"],
        ] {
            #expect(try json(try help(words))["schema"] == "sorad.version/1", "\(words)")
        }
        #expect(try help(["--help", "jobs"]).hasPrefix("sorad-ctl jobs: "))
        let between = try Control(["key", "--socket", "/nowhere/s", "add", "x", "--user", "me"])
        #expect(between.status() == 69, "\(between.errors)")
        #expect(try Control(["key", "--socket", "/nowhere/s"]).status() == 64)
        let alone = try Control(["--json"])
        #expect(alone.status() == 64 && alone.errors.contains("no command given"))
        let unknown = try Control(["--jsno", "jobs"])
        #expect(unknown.status() == 64 && unknown.errors.contains("did you mean \"--json\"?"))
    }

    @Test func optionsHaveShortForms() throws {
        // Each reaches the socket, so each was understood.
        for words in [
            ["generate", "x", "--see", "7"], ["generate", "x", "-qo", "a.mp4"], ["generate", "x", "-oa.mp4"],
            ["generate", "-q", "--", "-x"],
            ["jobs", "-n5"], ["jobs", "-n=5"], ["priority", "video_00000000000000000000000000000000", "-5"],
        ] {
            let control = try Control(
                words + (words.contains("--") ? [] : ["--socket", "/nowhere/s"]), environment: ["SORAD_SOCKET": "/nowhere/s"])
            #expect(control.status() == 69, "\(words): \(control.errors)")
        }
        let unclear = try Control(["generate", "x", "--s", "7"])
        #expect(
            unclear.status() == 64 && unclear.errors.contains("--s is short for several options: --size, --seconds"), "\(unclear.errors)")
    }

    @Test func theHelpFitsTheTerminal() throws {
        for words in [[], ["help", "jobs"], ["generate", "--help"]] {
            let narrow = try TerminalControl(words, columns: 40)
            #expect(narrow.status() == 0)
            let long = narrow.lines.filter { $0.count > 40 && !$0.hasPrefix("  sorad-ctl ") }
            #expect(long.isEmpty, "\(long)")
        }
    }

    @Test func errorsAreJSONWhereDataAre() throws {
        for (words, status, kind) in [
            (["jobs", "--json", "--socket", "/nowhere/s"], Int32(69), "unavailable"), (["jobs", "--json", "--limit", "x"], 64, "usage"),
        ] {
            let control = try Control(words)
            #expect(control.status() == status && control.output.isEmpty)
            let error = try json(control.errors)
            #expect(error["schema"] == "sorad.error/1" && error["error"]?["kind"]?.string == kind)
            #expect(error["error"]?["exit_status"]?.integer == Int(status) && error["error"]?["message"]?.string?.isEmpty == false)
        }
    }
}
