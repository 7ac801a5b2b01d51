// What the daemon learns of a job in the pool, from HTCondor's events and the worker's lines.
import SoradAPI
import SoradFleet
import SoradSystem
import Testing

@Suite struct JobViewTests {
    private static let start = MonotonicTime(nanoseconds: 0)

    private func view(_ events: PoolEvent...) -> JobView {
        var view = JobView()
        for event in events { view.take(event, at: JobViewTests.start) }
        return view
    }

    @Test func placesAndNotes() {
        #expect(view(.submitted).place == JobPlace(note: JobView.waiting))
        #expect(view(.submitted, .executing(box: "boxa")).place == JobPlace(box: "boxa"))
        let away = view(.executing(box: "boxa"), .disconnected)
        #expect(away.place == JobPlace(box: "boxa", note: "boxa is out of reach; the job continues there when it is back"))
        #expect(view(.executing(box: "boxa"), .disconnected, .reconnected).place == JobPlace(box: "boxa"))
        let lost = view(.executing(box: "boxa"), .disconnected, .lost("the lease has ended"))
        #expect(lost.place == JobPlace(note: "boxa was lost: the lease has ended; it waits for another one"))
        #expect(view(.executing(box: "boxa"), .evicted).place == JobPlace(note: "boxa gave it back; it waits for another one"))
        #expect(view(.held("no such program")).place.note?.hasPrefix("the pool holds it: no such program;") == true)
        #expect(view(.held("x"), .released, .executing(box: "boxb")).place == JobPlace(box: "boxb"))
    }

    @Test func onlyAnEventEndsAJob() {
        var view = view(.executing(box: "boxa"))
        _ = view.take(line: Array(#"{"finished": {"job": "video_1", "result": {}}}"#.utf8), at: JobViewTests.start)
        _ = view.take(
            line: Array(#"{"failed": {"job": "video_1", "error": {"code": "media_failed", "message": "no space"}}}"#.utf8),
            at: JobViewTests.start)
        #expect(view.ending == nil)
        view.take(.exited(85), at: JobViewTests.start)
        #expect(view.ending == nil, "HTCondor starts it again")
        view.take(.exited(74), at: JobViewTests.start)
        #expect(view.ending == .exited(74))
        #expect(view.failure(.exited(74), words: "other") == JobError(code: JobError.mediaFailed, message: "no space"))
    }

    @Test func failuresSayWhereAndWhy() {
        let view = view(.executing(box: "boxa"))
        let full = view.failure(.exited(74), words: "the disk is full")
        #expect(full == JobError(code: JobError.mediaFailed, message: "the worker on boxa exited with status 74, saying: the disk is full"))
        #expect(view.failure(.exited(65), words: nil).code == JobError.internalError, "the daemon has checked the request")
        #expect(view.failure(.exited(78), words: nil).code == JobError.configuration)
        let killed = view.failure(.killed(signal: 9), words: nil)
        #expect(killed == JobError(code: JobError.workerDied, message: "the worker on boxa was killed by signal 9"))
        #expect(view.failure(.removed("via condor_rm"), words: nil).message == "the job was taken out of the pool: via condor_rm")
        #expect(!view.failure(.exited(65), words: nil).message.isEmpty)
    }

    @Test func aNewBoxForgetsTheOldOnesWords() {
        var view = view(.executing(box: "boxa"))
        _ = view.take(
            line: Array(#"{"failed": {"job": "video_1", "error": {"code": "media_failed", "message": "no space"}}}"#.utf8),
            at: JobViewTests.start)
        view.take(.executing(box: "boxb"), at: JobViewTests.start)
        #expect(view.failure(.exited(70), words: nil).message == "the worker on boxb exited with status 70")
    }

    @Test func linesThatAreNoneAreLeftOut() {
        var view = JobView()
        for line in ["", "{", "[]", #"{"progress": 1}"#, #"{"putDown": {"job": "x"}}"#, "\u{7F}\u{0}"] {
            #expect(view.take(line: Array(line.utf8), at: JobViewTests.start) == nil)
        }
        for odd in [
            JobProgress(phase: .denoising, step: .max, steps: 9, percent: 30),
            JobProgress(phase: .denoising, step: 3, steps: -1, percent: 30),
            JobProgress(phase: .denoising, step: 3, steps: 9, percent: 101),
            JobProgress(phase: .denoising, step: 3, steps: 9, percent: 30, etaSeconds: 1e300),
            JobProgress(phase: .denoising, step: 3, steps: 9, percent: 30, preview: JobPreview(width: 1, height: 1, png: "\u{1B}]")),
        ] {
            #expect(view.take(line: WorkerEvent.progress(job: "video_1", progress: odd).json.bytes(), at: JobViewTests.start) == nil)
        }
        let progress = JobProgress(phase: .denoising, step: 3, steps: 9, percent: 30)
        let line = WorkerEvent.progress(job: "video_1", progress: progress).json.bytes()
        #expect(view.take(line: line, at: JobViewTests.start) == progress)
    }

    private func said(_ word: String, at seconds: Int, _ view: inout JobView) {
        _ = view.take(line: Array("{\"\(word)\": {}}".utf8), at: JobViewTests.start + .seconds(seconds))
    }

    private func silence(of view: JobView, at seconds: Int) -> Double? {
        view.silence(at: JobViewTests.start + .seconds(seconds))?.inSeconds
    }

    @Test func silenceIsOfAWorkerInReach() {
        var view = view(.submitted)
        #expect(silence(of: view, at: 9) == nil, "on no box")
        view.take(.executing(box: "boxa"), at: JobViewTests.start + .seconds(10))
        #expect(silence(of: view, at: 15) == 5, "it loads")
        said("ready", at: 20, &view)
        said("alive", at: 30, &view)
        #expect(silence(of: view, at: 31) == 1)
        view.take(.disconnected, at: JobViewTests.start + .seconds(40))
        #expect(silence(of: view, at: 100) == nil, "nothing can come")
        view.take(.reconnected, at: JobViewTests.start + .seconds(110))
        #expect(silence(of: view, at: 111) == 1)
        said("putDown", at: 120, &view)
        #expect(silence(of: view, at: 150) == 30, "a checkpoint travels, or the box never tells that its worker has ended")
        view.take(.transferred, at: JobViewTests.start + .seconds(160))
        #expect(silence(of: view, at: 163) == 3, "it is started again")
        view.take(.evicted, at: JobViewTests.start + .seconds(170))
        #expect(silence(of: view, at: 1_000) == nil)
    }

    @Test func aHangIsTheReasonAndNotTheEviction() {
        var view = view(.executing(box: "boxa"))
        #expect(view.hung(.seconds(600), at: JobViewTests.start) == "the worker on boxa said nothing for 600 s" && view.hangs == 1)
        view.take(.evicted, at: JobViewTests.start)
        #expect(view.place == JobPlace(note: "the worker on boxa said nothing for 600 s; it waits for another one"))
        #expect(silence(of: view, at: 9) == nil)
    }
}
