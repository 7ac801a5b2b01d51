// The prompt loop: typed in a terminal, and piped.
import Glibc
import SoradAPI
import SoradSystem
import Testing

private let small = ["--size", "64x64", "--frames", "5", "--steps", "2"]

@Suite(.serialized) struct RunTests {
    @Test func aSentenceMakesAClipAndTheNextOne() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        let terminal = try service.terminal(["run", "--preview", "off"] + small, directory: folder)
        #expect(terminal.wait(for: "A sentence makes a clip"))
        #expect(terminal.wait(for: "> "))
        // Typed with a slip that is taken back, and a word in the middle.
        try terminal.type("a redd\u{7F} ball\u{1B}[D\u{1B}[D\u{1B}[D\u{1B}[Dround \r")
        #expect(terminal.wait(for: ", seed "), "\(terminal.plain)")
        try terminal.type("/seed 7\r")
        #expect(terminal.wait(for: "seed: 7"))
        try terminal.type("/again\r")
        #expect(terminal.wait(for: ", seed 7"))
        try terminal.type("/save ball.gif\r")
        #expect(terminal.wait(for: "saved ball.gif"), "\(terminal.plain)")
        #expect(try Fixture.bytes(folder + "/ball.gif").starts(with: "GIF89a".utf8))
        for (typed, shown) in [
            ("/sizes", "did you mean /size?"), ("/size big", "/size must be WIDTHxHEIGHT"), ("/help", "/again"), ("/steps 0", "steps: 0"),
            ("a ball", "--steps "), ("/steps", "steps: the default"), ("/show", "frames sha256"), ("/jobs", "AGE"),
        ] {
            try terminal.type(typed + "\r")
            #expect(terminal.wait(for: shown), "\(typed): \(terminal.plain.suffix(400))")
        }
        // The arrow brings the last line back; Ctrl-C gives it up; Ctrl-D ends.
        try terminal.type("\u{1B}[A\u{3}")
        #expect(terminal.wait(for: "/jobs^C") || terminal.wait(for: "^C"))
        try terminal.type("\u{4}")
        #expect(terminal.status() == 0)
        let jobs = try service.control(["jobs", "--json"])
        #expect(jobs.status() == 0)
        let prompts = try json(jobs.text)["data"]?.array?.compactMap { $0["prompt"]?.string }
        #expect(prompts == ["a red round ball", "a red round ball"])
    }

    @Test func anInterruptEndsTheClipAndNotTheLoop() throws {
        let service = try Service()
        let terminal = try service.terminal(["run", "--preview", "off", "--size", "128x64", "--frames", "61"])
        #expect(terminal.wait(for: "> "))
        try terminal.type("/steps 1000\ra long one\r")
        #expect(terminal.wait(for: "denoising"))
        terminal.process.kill(SIGINT)
        #expect(terminal.wait(for: "was cancelled"))
        try terminal.type("/steps 1\ra short one\r")
        #expect(terminal.wait(for: ", seed "), "\(terminal.plain)")
        try terminal.type("/quit\r")
        #expect(terminal.status() == 0)
    }

    @Test func prompsComeThroughAPipe() throws {
        let service = try Service()
        let piped = try service.control(["run", "-q", "--json"] + small, input: "a red ball\n\n/seed 3\na blue cube")
        #expect(piped.status() == 0, "\(piped.errors)")
        let lines = try piped.lines.map(json)
        #expect(lines.compactMap { $0["prompt"]?.string } == ["a red ball", "a blue cube"] && lines[1]["seed"] == 3)
        let wrong = try service.control(["run", "-q"] + small, input: "/nonsense\na red ball\n")
        #expect(wrong.status() == 64 && wrong.lines.count == 1, "\(wrong.errors)")
    }
}
