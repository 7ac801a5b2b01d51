// What the daemon learns of a job in the pool, from HTCondor's events and the worker's lines.
import SoradAPI
import SoradFleet
import SoradSystem
import Testing

@Suite struct JobViewTests {
    private func view(_ events: PoolEvent...) -> JobView {
        var view = JobView()
        for event in events { view.take(event) }
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
        _ = view.take(line: Array(#"{"finished": {"job": "video_1", "result": {}}}"#.utf8))
        _ = view.take(line: Array(#"{"failed": {"job": "video_1", "error": {"code": "media_failed", "message": "no space"}}}"#.utf8))
        #expect(view.ending == nil)
        view.take(.exited(85))
        #expect(view.ending == nil, "HTCondor starts it again")
        view.take(.exited(74))
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
        _ = view.take(line: Array(#"{"failed": {"job": "video_1", "error": {"code": "media_failed", "message": "no space"}}}"#.utf8))
        view.take(.executing(box: "boxb"))
        #expect(view.failure(.exited(70), words: nil).message == "the worker on boxb exited with status 70")
    }

    @Test func linesThatAreNoneAreLeftOut() {
        var view = JobView()
        for line in ["", "{", "[]", #"{"progress": 1}"#, #"{"putDown": {"job": "x"}}"#, "\u{7F}\u{0}"] {
            #expect(view.take(line: Array(line.utf8)) == nil)
        }
        for odd in [
            JobProgress(phase: .denoising, step: .max, steps: 9, percent: 30),
            JobProgress(phase: .denoising, step: 3, steps: -1, percent: 30),
            JobProgress(phase: .denoising, step: 3, steps: 9, percent: 101),
            JobProgress(phase: .denoising, step: 3, steps: 9, percent: 30, etaSeconds: 1e300),
            JobProgress(phase: .denoising, step: 3, steps: 9, percent: 30, preview: JobPreview(width: 1, height: 1, png: "\u{1B}]")),
        ] {
            #expect(view.take(line: WorkerEvent.progress(job: "video_1", progress: odd).json.bytes()) == nil)
        }
        let progress = JobProgress(phase: .denoising, step: 3, steps: 9, percent: 30)
        let line = WorkerEvent.progress(job: "video_1", progress: progress).json.bytes()
        #expect(view.take(line: line) == progress)
    }
}
