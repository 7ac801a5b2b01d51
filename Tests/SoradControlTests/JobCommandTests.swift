// The commands about jobs: how a job is named, several at once, all of a kind, and the list in terminals of any width.
import Glibc
import SoradAPI
import SoradSystem
import Testing

private let small = ["--size", "64x64", "--frames", "5", "--steps", "2", "--seed", "7"]

@Suite(.serialized) struct JobCommandTests {
    private func made(_ service: Service, _ count: Int) throws -> [String] {
        try (0..<count).map { number in
            let control = try service.control(["generate", "a red ball \(number)", "--no-wait"] + small)
            try #require(control.status() == 0, "\(control.errors)")
            return try #require(control.lines.first)
        }
    }

    private func ids(_ service: Service, _ arguments: [String] = []) throws -> [String] {
        let control = try service.control(["jobs", "--json"] + arguments)
        #expect(control.status() == 0, "\(control.errors)")
        return try json(control.text)["data"]?.array?.compactMap { $0["id"]?.string } ?? []
    }

    @Test func aJobIsNamedByAPartOfItsID() throws {
        let service = try Service()
        let made = try made(service, 3)
        #expect(try service.control(["wait"] + made).status() == 0)
        for word in [made[1], String(made[1].suffix(8)), String(made[1].dropFirst(6).dropLast(4)), String(made[1].dropLast(6))] {
            let show = try service.control(["show", word, "--json"])
            #expect(show.status() == 0, "\(word): \(show.errors)")
            #expect(try json(show.text)["id"]?.string == made[1])
        }
        let latest = try service.control(["show", "latest", "--json"])
        #expect(latest.status() == 0)
        #expect(try json(latest.text)["id"]?.string == made[2])
        let several = try service.control(["show", "video_0"])
        #expect(several.status() == 66 || several.errors.contains("fits 3 jobs"), "\(several.errors)")
        let many = try service.control(["show", String(made[0].prefix(10))])
        #expect(many.status() == 64 && many.errors.contains("fits 3 jobs") && many.errors.contains("hint: give more"), "\(many.errors)")
        for word in ["0000000f", "nonsense", "video_"] {
            let none = try service.control(["show", word])
            #expect(none.status() == 66 && none.errors.contains("there is no job \"\(word)\""), "\(none.errors)")
        }
        // Two jobs, one of which is not there: the other is shown all the same.
        let two = try service.control(["show", "video_00000000000000000000000000000000", made[0]])
        #expect(two.status() == 66 && two.text.contains(made[0]), "\(two.errors)")
    }

    @Test func manyJobsGoAtOnce() throws {
        let service = try Service()
        let made = try made(service, 4)
        #expect(try service.control(["wait"] + made).status() == 0)
        let unasked = try service.control(["delete", "--all"])
        #expect(unasked.status() == 64 && unasked.errors.contains("to delete 4 jobs without being asked needs --yes"), "\(unasked.errors)")
        let both = try service.control(["delete", made[0], "--all"])
        #expect(both.status() == 64 && both.errors.contains("exclude each other"))
        let neither = try service.control(["delete"])
        #expect(neither.status() == 64 && neither.errors.contains("delete needs an ID, or --all"))
        let young = try service.control(["delete", "--older-than", "1h", "--yes"])
        #expect(young.status() == 0 && young.errors.contains("no such jobs"))
        #expect(try service.control(["delete", "--older-than", "soon"]).status() == 64)

        // The terminal asks; no is no.
        let no = try service.terminal(["rm", "--all"])
        #expect(no.wait(for: "delete 4 jobs? [y/N]"))
        try no.type("n\n")
        #expect(no.status() == 2 && no.plain.contains("nothing was done"))
        #expect(try ids(service).count == 4)
        let yes = try service.terminal(["rm", "--mine", "--older-than", "0s"])
        #expect(yes.wait(for: "delete 4 jobs? [y/N]"))
        try yes.type("y\n")
        #expect(yes.status() == 0 && yes.plain.contains("\(made[3]) deleted"), "\(yes.plain)")
        #expect(try ids(service).isEmpty)
    }

    @Test func aStateChoosesJobs() throws {
        let service = try Service()
        let done = try made(service, 1)
        #expect(try service.control(["wait", "latest"]).status() == 0)
        let long = try (0..<3).map { _ in
            let control = try service.control([
                "generate", "a long one", "--no-wait", "--steps", "200", "--size", "128x64", "--frames", "61",
            ])
            #expect(control.status() == 0)
            return try #require(control.lines.first)
        }
        #expect(try Set(ids(service, ["--status", "active"])) == Set(long))
        #expect(try ids(service, ["--status", "completed"]) == done)
        let ps = try service.control(["ps"])
        #expect(ps.status() == 0 && ps.lines.count == 4, "\(ps.text)")
        let cancelled = try service.control(["cancel", "--all", "--yes", "--json"])
        #expect(cancelled.status() == 0, "\(cancelled.errors)")
        #expect(try Set(cancelled.lines.map { try json($0)["id"]?.string }) == Set(long))
        #expect(try Set(ids(service, ["--status", "cancelled"])) == Set(long))
        let user = try service.control(["jobs", "--user", userName(effectiveUser()) ?? "0"])
        #expect(user.status() == 0 && user.lines.count == 5)
        #expect(try service.control(["jobs", "--user", "no-such-user-here"]).status() == 66)
    }

    @Test func theListFitsTheTerminal() throws {
        let service = try Service()
        let made = try made(service, 2)
        #expect(try service.control(["wait"] + made).status() == 0)
        for columns in [40, 80, 120, 200] as [UInt16] {
            let list = try service.terminal(["jobs"], columns: columns)
            #expect(list.status() == 0)
            #expect(list.lines.count == 3 && list.lines.allSatisfy { $0.count <= columns }, "\(columns): \(list.lines)")
            #expect(list.lines[1].hasPrefix(columns < 100 ? String(made[1].suffix(8)) : made[1]))
            #expect(list.text.contains("\u{1B}[32m"), "a completed job is green")
        }
        let plain = try service.terminal(["jobs"], environment: ["NO_COLOR": "1"])
        #expect(plain.status() == 0 && !plain.text.contains("\u{1B}["))
        let always = try service.control(["jobs", "--color", "always"])
        #expect(always.status() == 0 && always.text.contains("\u{1B}[32mcompleted\u{1B}[0m"))
        // In a pipe, ids and prompts are whole.
        let piped = try service.control(["jobs"])
        #expect(piped.status() == 0 && piped.text.contains(made[0]) && !piped.text.contains("\u{1B}"))
    }

    @Test func theListIsWatched() throws {
        let service = try Service()
        let watch = try service.terminal(["ps", "--watch"], columns: 60)
        #expect(watch.wait(for: "Ctrl-C ends this"))
        let id = try made(service, 1)[0]
        _ = id
        watch.resize(columns: 40, rows: 10)
        #expect(!watch.wait(for: "never shown", seconds: 2))
        watch.process.kill(SIGINT)
        #expect(watch.status() == 0)
        #expect(watch.text.contains("\u{1B}[?1049h") && watch.text.hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
        let elsewhere = try service.control(["jobs", "--watch"])
        #expect(elsewhere.status() == 64 && elsewhere.errors.contains("standard output is none"))
    }

    @Test func refusalsNameTheOptions() throws {
        let service = try Service()
        for (words, sentence) in [
            (["--size", "0x0"], "--size "), (["--model", "nope"], "--model names the unknown model \"nope\""),
            (["--frames", "-5"], "--frames "),
            (["--steps", "100000"], "--steps "), (["--guidance", "1e9"], "--guidance "), (["--flow-shift", "-1"], "--flow-shift "),
        ] {
            let control = try service.control(["generate", "x"] + words)
            #expect([65, 66].contains(control.status()), "\(words)")
            #expect(
                control.errors.hasPrefix("sorad-ctl: \(sentence.dropLast())") && !control.errors.contains("the field"),
                "\(words): \(control.errors)")
            let machine = try service.control(["generate", "x", "--json"] + words)
            #expect([65, 66].contains(machine.status()))
            let error = try json(machine.errors)["error"]
            #expect(error?["flag"]?.string == words[0] && error?["field"]?.string?.isEmpty == false, "\(machine.errors)")
        }
    }
}
