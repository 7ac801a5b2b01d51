// The commands for whoever runs the daemon: status, doctor, models, config, logs, bugreport, top; and what they say where nothing is well.
import Glibc
import SoradAPI
import SoradSystem
import Testing

@Suite(.serialized) struct OperatorTests {
    private func path() -> String { ChildProcess.currentEnvironment()["PATH"] ?? "" }

    @Test func theStateIsSaidInSentences() throws {
        let service = try Service()
        func status() throws -> String {
            let control = try service.control(["status"])
            #expect(control.status() == 0)
            // The free space is never the same twice.
            return control.lines.map { $0.hasPrefix("Free space: ") ? "Free space: " : $0 }.joined(separator: "\n") + "\n"
        }
        let well = try status()
        #expect(well.contains("sorad \(soradVersion) is up at \(service.socket)\n"), "\(well)")
        #expect(well.contains("0 jobs running, 0 waiting; no worker is loaded.") && well.contains("The model is tiny."))
        #expect(well.contains("Free space: "))
        #expect(try service.control(["drain"]).status() == 0)
        #expect(try status().contains("Drained; no new jobs are taken, and the waiting ones are done. It lasts until sorad-ctl resume."))
        #expect(try service.control(["pause"]).status() == 0)
        #expect(try status().contains("Paused; no job is begun"))
        let refused = try service.control(["generate", "x"])
        #expect(refused.status() == 75)
        #expect(try service.control(["resume"]).status() == 0)
        #expect(try status() == well)
        let terminal = try service.terminal(["status"])
        #expect(terminal.status() == 0 && terminal.text.contains("\u{1B}[32mup\u{1B}[0m"))
    }

    @Test func topIsRedrawnUntilAKey() throws {
        let service = try Service()
        let long = try service.control(["generate", "a long one", "--no-wait", "--steps", "1000", "--size", "128x64", "--frames", "61"])
        #expect(long.status() == 0)
        let terminal = try service.terminal(["top"], columns: 40, rows: 12)
        #expect(terminal.wait(for: "denoising"), "\(terminal.plain)")
        try terminal.type("q")
        #expect(terminal.status() == 0 && terminal.text.hasSuffix("\u{1B}[?1049l"))
        let once = try service.control(["top"])
        #expect(once.status() == 0 && once.text.contains("a long one") && !once.text.contains("\u{1B}"))
        #expect(try service.control(["cancel", "latest"]).status() == 0)
    }

    @Test func theDoctorNamesARemedyForEachFinding() throws {
        let service = try Service()
        func findings(_ words: [String] = [], environment: [String: String] = [:]) throws -> (Int32?, [String: [JSONValue]]) {
            let standard = [
                "SORAD_SOCKET": service.socket, "PATH": path(), "HOME": service.directory, "XDG_RUNTIME_DIR": service.directory,
            ]
            let control = try Control(["doctor", "--json"] + words, environment: standard.merging(environment) { $1 })
            let status = control.status()
            let all = try json(control.text)["findings"]?.array ?? []
            #expect(all.allSatisfy { $0["state"] == "ok" || $0["remedy"]?.string?.isEmpty == false }, "\(control.text)")
            return (status, Dictionary(grouping: all) { $0["check"]?.string ?? "" })
        }
        let well = try findings()
        #expect(well.0 == 0, "\(well.1)")
        #expect(
            Set(well.1.keys).isSuperset(of: [
                "socket", "intake", "model", "disk", "workers", "ffmpeg", "cpu", "descriptors", "clock", "settings",
            ]))

        #expect(try service.control(["drain"]).status() == 0)
        #expect(try service.control(["pause"]).status() == 0)
        let drained = try findings()
        #expect(
            drained.0 == 1 && drained.1["intake"]?.first?["state"] == "problem" && drained.1["processing"]?.first?["state"] == "problem")
        #expect(try service.control(["resume"]).status() == 0)

        let bare = try findings(environment: ["PATH": "/nowhere"])
        #expect(bare.0 == 1 && bare.1["ffmpeg"]?.first?["remedy"] == "sudo apt install ffmpeg")
        let wrong = try findings(environment: ["SORAD_KEEP_DAYS": "many"])
        #expect(
            wrong.0 == 1 && wrong.1["settings"]?.first?["text"]?.string?.contains("keep-days must be a whole number") == true, "\(wrong.1)")
        let gone = try findings(["--socket", "/nowhere/s"])
        #expect(gone.0 == 1 && gone.1["socket"]?.first?["text"]?.string?.contains("no such socket") == true, "\(gone.1)")

        let plain = try service.control(["doctor"])
        #expect(plain.status() == 0 && plain.lines.last == "nothing is wrong", "\(plain.text)")
    }

    /// An old ffmpeg, one without an encoder, and one that does not run.
    @Test func theDoctorLooksAtTheFFmpegThatIsThere() throws {
        for (script, text) in [
            ("echo ffmpeg version 4.4.1", "ffmpeg is 4.4.1, and sorad needs 5.1 or newer"),
            ("echo ffmpeg version 6.0 ' libx264 '", "ffmpeg lacks libwebp"), ("exit 3", "does not run"),
        ] {
            let folder = Fixture.scratch()
            try FileDescriptor(opening: folder + "/ffmpeg", flags: O_WRONLY | O_CREAT, mode: 0o700).write(
                Array("#!/bin/sh\n\(script)\n".utf8))
            let control = try Control(["doctor"], environment: ["PATH": folder, "SORAD_SOCKET": "/nowhere/s"])
            #expect(control.status() == 1 && control.text.contains(text), "\(control.text)")
        }
    }

    @Test func aFolderOfModelsIsKept() throws {
        let folder = Fixture.scratch()
        try makeDirectories(folder + "/models")
        let service = try Service(options: ["--model-dir", folder + "/models"], hasModel: false)
        let none = try service.control(["models"])
        #expect(none.status() == 0 && none.errors.contains("no models"))
        let sick = try service.control(["doctor"])
        #expect(sick.status() == 1 && sick.text.contains("no model is installed"))
        let status = try service.control(["status"])
        #expect(
            status.status() == 0 && status.text.contains("is degraded at") && status.text.contains("sorad-ctl doctor names the remedies"))

        try FileDescriptor(opening: folder + "/broken.gguf", flags: O_WRONLY | O_CREAT).write(Array("no model".utf8))
        let refused = try service.control(["models", "import", folder + "/broken.gguf"])
        #expect(refused.status() == 65 && !fileExists(folder + "/models/broken.gguf"), "\(refused.errors)")
        let imported = try service.control(["models", "import", Fixture.model, "--name", "small", "--json"])
        #expect(imported.status() == 0, "\(imported.errors)")
        #expect(try json(imported.text)["path"]?.string == folder + "/models/small.gguf")
        #expect(try json(imported.text)["id"] == "tiny")
        // It is listed when the command returns.
        #expect(try service.control(["models"]).finished().text.contains("tiny"))
        let twice = try service.control(["models", "import", Fixture.model, "--name", "second"])
        #expect(twice.status() == 65, "\(twice.errors)")
        #expect(twice.errors.contains("the model name tiny is taken by \(folder)/models/small.gguf"), "\(twice.errors)")
        #expect(twice.errors.contains("hint: remove that one: sudo sorad-ctl models rm tiny"), "\(twice.errors)")
        let taken = try service.control(["models", "import", Fixture.checkpoint])
        #expect(taken.status() == 65 && taken.errors.contains("the model name tiny is taken by"), "\(taken.errors)")
        #expect(try directoryEntries(folder + "/models") == ["small.gguf"])
        let converted = try service.control(["models", "import", Fixture.checkpoint, "--name", "other"])
        #expect(converted.status() == 0 && converted.text.hasPrefix("other is installed in"), "\(converted.errors)")
        #expect(try service.control(["models", "rm", "other", "--yes"]).finished().text.contains("was removed"))
        #expect(try !service.control(["models"]).finished().text.contains("other"))
        let verified = try service.control(["models", "verify"])
        #expect(verified.status() == 0 && verified.text.contains("tiny: sound"), "\(verified.text)\(verified.errors)")
        let again = try service.control(["models", "import", Fixture.model, "--name", "small"])
        #expect(again.status() == 65 && again.errors.contains("is there already"))
        let replaced = try service.control(["models", "import", Fixture.model, "--name", "small", "--force"])
        #expect(replaced.status() == 0, "\(replaced.errors)")

        // A byte that turns over is found.
        let file = try FileDescriptor(opening: folder + "/models/small.gguf", flags: O_RDWR)
        let size = try file.regularFileSize()
        let last = try file.read(at: size - 1, count: 1)
        try file.write([last[0] ^ 0xFF], at: size - 1)
        // The daemon may have seen it too, and then knows a damaged file and no model.
        let damaged = try service.control(["models", "verify", folder + "/models/small.gguf", "--json"])
        #expect(damaged.status() == 65 && damaged.text.contains("\"sound\":false"), "\(damaged.text)\(damaged.errors)")

        let unasked = try service.control(["models", "rm", "small"])
        #expect(unasked.status() == 64 && unasked.errors.contains("needs --yes"))
        #expect(try service.control(["models", "rm", folder + "/broken.gguf", "--yes"]).status() == 66)
        #expect(try service.control(["models", "rm", "../broken", "--yes"]).status() == 66)
        let removed = try service.control(["models", "rm", "small", "--yes", "--json"])
        #expect(removed.status() == 0 && !fileExists(folder + "/models/small.gguf"), "\(removed.errors)")
    }

    @Test func settingsAreShownWithTheirSource() throws {
        let folder = Fixture.scratch()
        try FileDescriptor(opening: folder + "/sorad.conf", flags: O_WRONLY | O_CREAT).write(Array("keep-days = 9\nqueue-limt = 3\n".utf8))
        let environment = ["SORAD_WORKERS": "2", "PATH": path(), "HOME": folder]
        let shown = try Control(["config", "show", "--json", "--config", folder + "/sorad.conf"], environment: environment)
        #expect(shown.status() == 0, "\(shown.errors)")
        let settings = try json(shown.text)["settings"]?.array ?? []
        func setting(_ name: String) -> JSONValue? { settings.first { $0["name"]?.string == name } }
        #expect(setting("keep-days")?["values"] == ["9"] && setting("keep-days")?["origin"]?.string == folder + "/sorad.conf")
        #expect(setting("workers")?["values"] == ["2"] && setting("workers")?["origin"] == "SORAD_WORKERS")
        #expect(setting("queue-limit")?["values"] == ["100"] && setting("queue-limit")?["origin"] == .null)
        let wrong = try Control(["config", "check", "--config", folder + "/sorad.conf"], environment: environment)
        #expect(wrong.status() == 78 && wrong.errors.contains("did you mean \"queue-limit\"?"), "\(wrong.errors)")
        let machine = try Control(["config", "check", "--json", "--config", folder + "/sorad.conf"], environment: environment)
        #expect(machine.status() == 78 && machine.text.contains("\"right\":false"))
        let table = try Control(["config", "show", "--config", folder + "/sorad.conf"], environment: environment)
        #expect(table.status() == 0 && table.lines.contains { $0.hasPrefix("keep-days ") && $0.hasSuffix("/sorad.conf") })
    }

    /// A journal that the test writes.
    @Test func theLogIsTheJournals() throws {
        let none = try Control(["logs"], environment: ["PATH": "/nowhere"])
        #expect(none.status() == 69 && none.errors.contains("this machine has no journal"))
        let folder = Fixture.scratch()
        let script = "#!/bin/sh\necho \"$@\" >&2\necho 'video_0a begins'\necho 'another line'\necho 'video_0a \u{1B}[31mends'\n"
        try FileDescriptor(opening: folder + "/journalctl", flags: O_WRONLY | O_CREAT, mode: 0o700).write(Array(script.utf8))
        let all = try Control(["logs", "-f", "-n", "5"], environment: ["PATH": folder])
        #expect(all.status() == 0 && all.lines.count == 3 && !all.text.contains("\u{1B}"))
        #expect(all.errors.contains("-u sorad.service --follow --lines 5"), "\(all.errors)")
        let one = try Control(["logs", "video_0a"], environment: ["PATH": folder, "SORAD_SOCKET": "/nowhere/s"])
        #expect(one.status() == 0 && one.lines.count == 2 && one.errors.contains("--lines all"))
        // A whole id is a field of the journal.
        let whole = "video_" + String(repeating: "0a", count: 16)
        let field = try Control(["logs", whole], environment: ["PATH": folder, "SORAD_SOCKET": "/nowhere/s"])
        #expect(field.status() == 0 && field.lines.count == 3 && field.errors.contains("--lines all SORAD_JOB=\(whole)"))
        let nothing = try Control(["logs", "video_0b"], environment: ["PATH": folder, "SORAD_SOCKET": "/nowhere/s"])
        #expect(nothing.status() == 0 && nothing.lines.isEmpty && nothing.errors.contains("has no such lines"))
    }

    @Test func aReportHasNoPrompts() throws {
        let service = try Service()
        let made = try service.control(["generate", "a very secret ball", "--negative", "hidden rain", "--no-wait", "--steps", "2"])
        #expect(made.status() == 0)
        let folder = Fixture.scratch()
        let report = try service.control(["bugreport", "-o", "report.txt"], directory: folder)
        #expect(report.status() == 0, "\(report.errors)")
        let text = String(decoding: try Fixture.bytes(folder + "/report.txt"), as: UTF8.self)
        for part in ["== versions", "== machine", "== doctor", "== status", "== jobs", "== metrics", "== settings", made.lines[0]] {
            #expect(text.contains(part), "\(part)")
        }
        #expect(!text.contains("secret") && !text.contains("hidden rain"))
    }

    /// Each fault of the way to the daemon is one plain sentence, whatever the command.
    @Test func noDaemonAndAForbiddenSocketAreSentences() throws {
        let folder = Fixture.scratch()
        // A socket that nobody listens on any more.
        do { _ = try FileDescriptor(listeningAt: folder + "/dead", mode: 0o600) }
        for words in [
            ["jobs"], ["status"], ["top"], ["generate", "x"], ["run", "x"], ["wait", "latest"], ["rm", "--all"], ["quota"],
            ["edit", "latest", "x"],
        ] {
            for (socket, sentence) in [("/nowhere/s", "no such socket"), (folder + "/dead", "nothing listens there")] {
                let control = try Control(words + ["--socket", socket], environment: ["PATH": path()])
                #expect(
                    control.status() == 69 && control.errors.contains(sentence) && control.errors.contains("\nhint: "),
                    "\(words): \(control.errors)")
                #expect(control.errors.split(separator: "\n").count == 2 && control.output.isEmpty, "\(words): \(control.errors)")
            }
        }
    }
}
