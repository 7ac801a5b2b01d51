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
    /// `MediaFacts.heldPixels` of the largest given file; 0 when there are none.
    var givenPixels = 0
}

extension VideoRoutes {
    /// Adds a route on which a POST makes a job of what `make` makes of the request.
    func onCreate(_ pattern: String, in routes: inout Routes, _ make: @escaping @Sendable (Request) throws -> NewClip) {
        routes.on(.post, pattern, body: .fields) { request in
            let viewer = access.viewer(request.peer)
            let submission = try Submission(request)
            if let job = try service.earlier(submission, owner: viewer.user) { return answer(job) }
            let mayReuse = try reuse(request)
            let priority = try priority(request, viewer)
            let clip = try make(request)
            let digest = try clipDigest(of: clip.effective.request, model: clip.model, draft: clip.draft)
            if mayReuse, let job = try service.finished(digest: digest, owner: viewer.user) {
                var response = answer(job)
                response.headers["x-sorad-reused"] = "true"
                return response
            }
            var wish = Wish(clip.effective.request, seconds: clip.effective.seconds, model: clip.model)
            wish.priority = priority
            wish.givenPixels = clip.givenPixels
            return answer(try service.submit(owner: viewer, wish, draft: clip.draft, submission: submission, digest: digest))
        }
    }

    /// Whether a finished clip of the same request will do.
    private func reuse(_ request: Request) throws -> Bool {
        guard try request.fields.bool("reuse") ?? false else { return false }
        guard request.fields.has("seed") else {
            throw request.fields.invalid(
                "reuse", "needs a seed: without one every clip is another; send the seed of the clip that you have")
        }
        return true
    }

    /// Everybody may stand back; only an administrator may push ahead.
    private func priority(_ request: Request, _ viewer: Viewer) throws -> Int {
        let highest = viewer.isAdmin ? JobService.priorityRange.upperBound : 0
        return try request.fields.integer("priority", in: JobService.priorityRange.lowerBound...highest) ?? 0
    }
}
