// The way of a person: make a clip, look at it, get it, cancel, delete.
import FoundationEssentials
import Glibc
import SoradAPI
import SoradSystem
import Testing

private let small = ["--size", "64x64", "--frames", "5", "--steps", "2", "--seed", "7"]

private func isMP4(_ bytes: [UInt8]) -> Bool { bytes.count > 1000 && Array(bytes[4..<8]) == Array("ftyp".utf8) }

@Suite(.serialized) struct ClipTests {
    @Test func aSentenceBecomesAFile() throws {
        let service = try Service()
        let directory = Fixture.scratch()
        let generate = try service.control(["generate", "a red ball", "-o", "ball.mp4"] + small, directory: directory)
        #expect(generate.status() == 0, "\(generate.errors)")
        #expect(generate.text == "ball.mp4\n")
        #expect(isMP4(try Fixture.bytes(directory + "/ball.mp4")))
        #expect(generate.errors.contains("100% done"))
        #expect(!generate.errors.contains("\r"))

        let jobs = try service.control(["jobs", "--json"])
        #expect(jobs.status() == 0)
        let list = try json(jobs.text)
        #expect(list["schema"] == "sorad.jobs/1")
        let id = try #require(list["data"]?.array?.first?["id"]?.string)
        let show = try service.control(["show", id, "--json"])
        #expect(show.status() == 0)
        let job = try json(show.text)
        #expect(job["schema"] == "sorad.job/1")
        #expect(job["status"] == "completed")
        #expect(job["seed"] == 7)
        #expect(job["sha256"]?.string?.count == 64)
        let table = try service.control(["jobs"])
        #expect(table.status() == 0)
        #expect(table.lines.count == 2 && table.lines[1].contains(id) && table.lines[1].contains("a red ball"))

        for (variant, start) in [("thumbnail", "RIFF"), ("spritesheet", "\u{FF}\u{D8}"), ("video", "")] {
            let get = try service.control(["get", id, "--variant", variant, "-o", variant], directory: directory)
            #expect(get.status() == 0)
            let head = try Fixture.bytes(directory + "/" + variant).prefix(start.unicodeScalars.count)
            #expect(Array(head) == start.unicodeScalars.map { UInt8($0.value) })
        }
        #expect(try Fixture.bytes(directory + "/video") == Fixture.bytes(directory + "/ball.mp4"))

        #expect(try service.control(["delete", id]).status() == 0)
        let gone = try service.control(["show", id])
        #expect(gone.status() == 66)
        #expect(gone.errors.hasPrefix("sorad-ctl: "))
    }

    @Test func standardOutputTakesTheClipAndJSONTellsTheWay() throws {
        let service = try Service()
        let piped = try service.control(["generate", "-", "-q", "-o", "-"] + small, input: "a blue cube\n")
        #expect(piped.status() == 0, "\(piped.errors)")
        #expect(isMP4(piped.output))

        let directory = Fixture.scratch()
        let told = try service.control(["generate", "a blue cube", "--json", "-o", "cube.mp4"] + small, directory: directory)
        #expect(told.status() == 0, "\(told.errors)")
        #expect(told.errors.isEmpty)
        let lines = try told.lines.map(json)
        let last = try #require(lines.last)
        #expect(last["schema"] == "sorad.clip/1")
        #expect(last["file"] == "cube.mp4")
        #expect(last["video"]?["status"] == "completed")
        let progress = lines.dropLast()
        #expect(progress.allSatisfy { $0["schema"] == "sorad.progress/1" })
        let percents = progress.compactMap { $0["percent"]?.integer }
        #expect(percents == percents.sorted())
    }

    @Test func anInterruptCancelsTheJob() throws {
        let service = try Service()
        let generate = try service.control([
            "generate", "a long one", "-o", "long.mp4", "--json", "--steps", "200", "--size", "128x64", "--frames", "61",
        ])
        while generate.text.isEmpty {
            guard generate.process.wait(timeout: .milliseconds(50)) == nil else { break }
        }
        generate.process.kill(SIGINT)
        #expect(generate.status() == 130, "\(generate.errors)")
        #expect(generate.errors.contains("was cancelled"))
        let first = try #require(generate.lines.first)
        let id = try #require(try json(first)["id"]?.string)
        let get = try service.control(["get", id, "-o", "x"])
        #expect(get.status() == 2)
        #expect(get.errors.contains("was cancelled"))
    }

    @Test func notWaitingPrintsTheIDAndCancelStopsIt() throws {
        let service = try Service()
        let generate = try service.control(["generate", "a long one", "--no-wait", "--steps", "200", "--size", "128x64", "--frames", "61"])
        #expect(generate.status() == 0, "\(generate.errors)")
        let id = try #require(generate.lines.first)
        let early = try service.control(["get", id])
        #expect(early.status() == 75)
        let cancel = try service.control(["cancel", id])
        #expect(cancel.status() == 0, "\(cancel.errors)")
        let late = try service.control([
            "generate", "a long one", "--timeout", "0.1", "--steps", "200", "--size", "128x64", "--frames", "61",
        ])
        #expect(late.status() == 124)
        #expect(late.errors.contains("continues"))
    }

    @Test(arguments: [
        ["generate", ""], ["generate", "x", "--size", "0x0"], ["generate", "x", "--size", "-1x64"], ["generate", "x", "--size", "17x9999"],
        ["generate", "x", "--model", "nope"], ["generate", "x", "--frames", "-5"], ["generate", "x", "--seed", "-2"],
    ])
    func badInputIsASentence(arguments: [String]) throws {
        let service = try Service()
        let control = try service.control(arguments)
        let status = control.status()
        #expect(status == 65 || status == 66, "\(String(describing: status)): \(control.errors)")
        #expect(control.errors.hasPrefix("sorad-ctl: "))
        #expect(control.output.isEmpty)
    }

    @Test func aKilledDaemonsClipGoesOnWithTheSameFrames() throws {
        let service = try Service(workerOptions: "--checkpoint-interval 0")
        let long = ["generate", "a long one", "--steps", "1000", "--size", "128x64", "--frames", "61", "--seed", "7", "--no-wait"]
        func newest() throws -> JSONValue {
            let jobs = try service.control(["jobs", "--json"])
            #expect(jobs.status() == 0)
            return try #require(try json(jobs.text)["data"]?.array?.first)
        }
        func finished() throws -> JSONValue {
            for _ in 0..<1200 {
                let job = try newest()
                if job["status"] == "completed" || job["status"] == "failed" { return job }
                usleep(100_000)
            }
            throw SoradError(.timedOut, "the job does not end")
        }
        #expect(try service.control(long).status() == 0)
        let whole = try finished()
        #expect(whole["status"] == "completed")
        let second = try service.control(long)
        #expect(second.status() == 0)
        let id = try #require(second.lines.first)
        let checkpoint = service.directory + "/state/spool/\(id)/checkpoint-0"
        for _ in 0..<30_000 where !fileExists(checkpoint) { usleep(2_000) }
        #expect(fileExists(checkpoint))
        try service.killAndRestart()
        let resumed = try finished()
        #expect(resumed["id"]?.string == id && resumed["status"] == "completed")
        #expect(resumed["sha256"] == whole["sha256"] && whole["sha256"]?.string?.count == 64)
        #expect(!fileExists(checkpoint))
    }

    @Test func aWorkerThatCannotStartIsExplained() throws {
        let service = try Service(environment: ["SORAD_ISA": "bogus"])
        let generate = try service.control(["generate", "a red ball", "-o", "ball.mp4", "--timeout", "5"] + small)
        // The job is kept: an operator can mend the setting.
        #expect(generate.status() == 124)
        #expect(generate.errors.contains("there is no instruction set called \"bogus\""), "\(generate.errors)")
    }

    @Test func statusAndModelsAreAnswered() throws {
        let service = try Service()
        let status = try service.control(["status", "--json"])
        #expect(status.status() == 0)
        #expect(try json(status.text)["schema"] == "sorad.status/1")
        #expect(try json(status.text)["socket"] == .string(service.socket))
        let models = try service.control(["models"])
        #expect(models.status() == 0)
        #expect(models.lines.last?.hasPrefix("tiny ") == true)
    }
}
