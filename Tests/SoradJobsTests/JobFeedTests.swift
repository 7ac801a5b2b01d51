// What those who watch a job hear.
import SoradAPI
import SoradJobs
import SoradSystem
import Synchronization
import Testing

/// Notes what it hears, in short.
private final class Ear: Sendable {
    private let heard = Mutex<[String]>([])
    private let limit: Int

    /// - Parameter limit: how many pieces of news it wants.
    init(limit: Int = .max) { self.limit = limit }

    var news: [String] { heard.withLock { $0 } }

    func hear(_ news: JobNews) -> Bool {
        let text =
            switch news {
            case .changed(let job, let number, _): "\(job.status.rawValue) \(job.percent) #\(number)"
            case .preview(_, let picture, _): "preview \(picture.png)"
            case .deleted: "deleted"
            case .quiet: "quiet"
            case .ended: "ended"
            }
        return heard.withLock { heard in
            heard.append(text)
            return heard.count < limit
        }
    }
}

@Suite struct JobFeedTests {
    private func service(_ directory: TemporaryDirectory) throws -> JobService {
        var settings = JobService.Settings()
        settings.heartbeat = .seconds(10)
        settings.limits.progressRecord = .zero
        let service = try JobService(
            directory: directory.path, settings: settings, time: .system, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
        service.deliver(.released(.models))
        return service
    }

    private func progress(_ percent: Int, preview: String? = nil) -> JobProgress {
        JobProgress(
            phase: .denoising, step: 1, steps: 2, percent: percent, preview: preview.map { JobPreview(width: 8, height: 8, png: $0) })
    }

    @Test func everyChangeIsHeardOnceAndInOrderToTheEnd() throws {
        let directory = try TemporaryDirectory()
        let service = try service(directory)
        let job = try service.submit(owner: 1, .sample())
        let ear = Ear()
        #expect(try service.watch(job.id, viewer: 2, ear.hear) == nil)
        #expect(try service.watch(job.id, viewer: 1, ear.hear) != nil)
        service.deliver(.workerReady(.first, model: "mini"))
        service.deliver(.progressed(.first, job.id, progress(10)))
        service.deliver(.progressed(.first, job.id, progress(10, preview: "A")))
        service.deliver(.progressed(.first, job.id, progress(60)))
        service.deliver(.failed(.first, job.id, JobError(code: "invalid_request", message: "No.")))
        #expect(
            ear.news == [
                "in_progress 0 #2", "in_progress 10 #3", "in_progress 10 #4", "preview A", "in_progress 60 #5", "failed 60 #6",
            ])
        #expect(service.feed.listenerCount == 0)
        let late = Ear()
        #expect(try service.watch(job.id, viewer: 1, late.hear) != nil)
        #expect(late.news == ["failed 60 #0"] && service.feed.listenerCount == 0)
    }

    @Test func oneWhoComesLaterHearsTheStateAndTheLastPreview() throws {
        let directory = try TemporaryDirectory()
        let service = try service(directory)
        let job = try service.submit(owner: 1, .sample())
        service.deliver(.workerReady(.first, model: "mini"))
        service.deliver(.progressed(.first, job.id, progress(10, preview: "A")))
        service.deliver(.progressed(.first, job.id, progress(20)))
        let (ear, impatient, gone) = (Ear(), Ear(limit: 1), Ear())
        _ = try service.watch(job.id, viewer: 0, ear.hear)
        _ = try service.watch(job.id, viewer: 0, impatient.hear)
        let subscription = try #require(try service.watch(job.id, viewer: 0, gone.hear))
        service.feed.remove(subscription)
        service.deliver(.progressed(.first, job.id, progress(30)))
        #expect(ear.news == ["in_progress 20 #4", "preview A", "in_progress 30 #5"])
        #expect(impatient.news == ["in_progress 20 #4"])
        #expect(gone.news == ["in_progress 20 #4", "preview A"])
        #expect(try service.delete(job.id, viewer: 1))
        #expect(ear.news.last == "deleted" && service.feed.listenerCount == 0)
    }

    @Test func silenceIsBrokenOnlyWhileSomebodyListens() throws {
        let directory = try TemporaryDirectory()
        let service = try service(directory)
        let job = try service.submit(owner: 1, .sample())
        #expect(service.feed.nextBeat == nil)
        let ear = Ear()
        let subscription = try #require(try service.watch(job.id, viewer: 1, ear.hear))
        let due = try #require(service.feed.nextBeat)
        service.feed.beat(due + .seconds(-1))
        #expect(ear.news.count == 1)
        service.feed.beat(due)
        #expect(ear.news.last == "quiet" && service.feed.nextBeat == due + .seconds(10))
        service.feed.remove(subscription)
        service.feed.beat(due + .seconds(10))
        #expect(ear.news.count == 2 && service.feed.nextBeat == nil)
        let last = Ear()
        _ = try service.watch(job.id, viewer: 1, last.hear)
        service.feed.end()
        #expect(last.news.last == "ended" && service.feed.nextBeat == nil)
    }

    /// A thousand watchers cost one encoding of each change.
    @Test func whatListenersWriteIsWrittenOnce() throws {
        let directory = try TemporaryDirectory()
        let service = try service(directory)
        let job = try service.submit(owner: 1, .sample())
        let made = Atomic<Int>(0)
        let heard = Atomic<Int>(0)
        for _ in 0..<1100 {
            let subscription = try service.watch(job.id, viewer: 1) { news in
                guard case .changed(_, let number, let text) = news, number > 2 else { return true }
                let bytes = text.bytes("x") {
                    made.add(1, ordering: .relaxed)
                    return [1, 2, 3]
                }
                if bytes == [1, 2, 3] { heard.add(1, ordering: .relaxed) }
                return true
            }
            #expect(subscription != nil)
        }
        service.deliver(.workerReady(.first, model: "mini"))
        for percent in 1...10 { service.deliver(.progressed(.first, job.id, progress(percent))) }
        #expect(heard.load(ordering: .relaxed) == 10 * 1100)
        #expect(made.load(ordering: .relaxed) == 10)
    }
}
