// The one way in which a request becomes a job, whatever the clip is made from.
// Invariant: a request that has come before makes nothing; it is answered with the job that it made then.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

/// What a request came to: everything that a job is made of.
struct NewClip {
    var model: ModelInfo
    var effective: ClipParameters.Effective
    /// Holds the given files; nil when there are none.
    var draft: JobDraft?
}

extension VideoRoutes {
    /// Adds a route on which a POST makes a job of what `make` makes of the request.
    func onCreate(_ pattern: String, in routes: inout Routes, _ make: @escaping @Sendable (Request) throws -> NewClip) {
        routes.on(.post, pattern, body: .fields) { request in
            let owner = request.peer.userID
            let submission = try Submission(request)
            if let job = try service.earlier(submission, owner: owner) { return answer(job) }
            let clip = try make(request)
            return answer(
                try service.submit(
                    owner: owner, clip.effective.request, seconds: clip.effective.seconds, draft: clip.draft, submission: submission))
        }
    }
}
