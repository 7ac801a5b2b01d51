// Pictures in the terminal while a clip is made: the form is asked of the terminal, the picture is the clip's, and the line of progress
// stays below it.
import Glibc
import SoradAPI
import SoradSystem
import Testing

private let long = ["--size", "128x64", "--frames", "61", "--steps", "60", "--seed", "7"]

@Suite(.serialized) struct PreviewTests {
    /// What a terminal answers to the question, and the start of the picture that it then gets.
    @Test(
        arguments: [
            ("\u{1B}_Gi=31;OK\u{1B}\\\u{1B}[?62;4c", "\u{1B}_Ga=T,f=100,i=1", [:]), ("\u{1B}[?63;1;4;22c", "\u{1B}P0;1;0q\"1;1;", [:]),
            ("\u{1B}[?1;0;16S\u{1B}[?63;1;4;22c", "\u{1B}P0;1;0q", [:]),
            ("\u{1B}[?6c", "\u{1B}[38;2;", ["COLORTERM": "truecolor"]), ("\u{1B}[?6c", "\u{1B}[38;5;", [:]),
            ("", "\u{1B}[38;5;", [:]),
        ] as [(String, String, [String: String])])
    func theTerminalIsAskedWhatItShows(answer: String, start: String, environment: [String: String]) throws {
        let service = try Service()
        let terminal = try service.terminal(["generate", "a red ball", "-o", "ball.mp4"] + long, environment: environment)
        #expect(terminal.wait(for: "\u{1B}_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\u{1B}\\\u{1B}[?1;1;0S\u{1B}[c"))
        if !answer.isEmpty { try terminal.type(answer) }
        #expect(terminal.status() == 0, "\(terminal.plain)")
        let text = terminal.text
        #expect(text.contains("\u{1B}7\r") && text.contains(start), "\(text.prefix(600))")
        #expect(terminal.plain.contains("100% done"))
        if answer.contains("0;16S") { #expect(!text.contains("#16;2;"), "a terminal with 16 color registers") }
        // The answer was not echoed, nor left for the shell.
        #expect(!text.contains("[?62;4c") && !text.contains("^["))
    }

    @Test func aPreviewCanBeChosenOrLeftOut() throws {
        let service = try Service()
        for (words, environment, part) in [
            (["--preview", "sixel"], [:], "\u{1B}P0;1;0q"), (["--preview", "kitty"], [:], "\u{1B}_Ga=T"),
            (["--preview", "blocks"], ["NO_COLOR": "1"], "▀"), ([], ["SORAD_PREVIEW": "blocks"], "▀"), (["--preview=off"], [:], nil),
            (["-q"], [:], nil), ([], ["TERM": "dumb"], nil), (["--preview", "blocks", "--json"], [:], nil),
        ] as [([String], [String: String], String?)] {
            let terminal = try service.terminal(["generate", "a red ball", "-o", "ball.mp4"] + long + words, environment: environment)
            #expect(terminal.status() == 0, "\(words): \(terminal.plain)")
            let text = terminal.text
            for picture in ["\u{1B}P0;1;0q", "\u{1B}_Ga=T", "▀"] {
                #expect(text.contains(picture) == (picture == part), "\(words) \(environment): \(picture)")
            }
            #expect(!text.contains("\u{1B}[c") || words.isEmpty)
        }
        #expect(try service.control(["generate", "x", "--preview", "ascii"]).status() == 64)
    }

    /// The last picture is the clip's own thumbnail: its colors, cell by cell, are those that ffmpeg sees.
    @Test func theLastPictureIsTheClip() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        let terminal = try service.terminal(
            [
                "generate", "a red ball", "-o", "ball.mp4", "--preview", "blocks", "--size", "64x64", "--frames", "5", "--steps", "2",
                "--seed", "7",
            ],
            environment: ["COLORTERM": "truecolor"], directory: folder)
        #expect(terminal.status() == 0)
        let get = try service.control(["get", "latest", "--variant", "thumbnail", "-o", "t.webp"], directory: folder)
        #expect(get.status() == 0)
        let output = try captureOutput(
            of: .init(
                ChildProcess.executablePath(of: "ffmpeg") ?? "ffmpeg",
                ["-v", "error", "-i", folder + "/t.webp", "-vf", "scale=1:1:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]),
            timeout: .seconds(20), limit: 1 << 20)
        try #require(output.standardOutput.count == 3)
        var sums = [0, 0, 0]
        var count = 0
        for part in terminal.text.split(separator: "\u{1B}[38;2;").dropFirst() {
            let numbers = part.prefix { $0 != "m" }.split(separator: ";").compactMap { Int($0) }
            let cells = part.filter { $0 == "▀" }.count
            guard numbers.count == 8 else { continue }
            for channel in 0..<3 { sums[channel] += (numbers[channel] + numbers[channel + 5]) * cells }
            count += 2 * cells
        }
        try #require(count > 100)
        for channel in 0..<3 {
            #expect(
                abs(sums[channel] / count - Int(output.standardOutput[channel])) <= 16,
                "\(sums.map { $0 / count }) \(output.standardOutput)"
            )
        }
    }

    @Test func aSmallTerminalAndANewSizeAreNoTrouble() throws {
        let service = try Service()
        for (columns, rows) in [(20, 6), (40, 10), (10, 3)] as [(UInt16, UInt16)] {
            let terminal = try service.terminal(
                ["generate", "a red ball", "-o", "ball.mp4", "--preview", "blocks"] + long, columns: columns, rows: rows)
            #expect(terminal.wait(for: "denoising") || columns < 20)
            terminal.resize(columns: columns + 30, rows: rows + 10)
            #expect(terminal.status() == 0, "\(terminal.plain)")
        }
    }
}
