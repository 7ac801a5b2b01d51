// GET /v1/videos/{id}/job and POST /v1/videos/import: jobs that move between machines. Owns no state.
import Glibc
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    @Sendable func exportJob(_ request: Request) throws -> Response {
        let job = try job(request)
        if let error = job.error {
            throw APIError.conflict("the video \(job.id) failed, so nobody can continue it: \(error.message)", code: "video_failed")
        }
        let entries = try service.portableFiles(of: job)
        try service.checkSpace(for: service.portableBytes(of: entries))
        // It goes with the draft, and stays readable for as long as the answer has it open.
        let place = try service.scratch()
        let path = place.path(.source)
        func failure(_ error: Errno) -> SoradError {
            if error.isOutOfSpace { return SoradError(.storageFull, "the disk has no space for the job's archive") }
            return SoradError(.unavailable, "the job's archive cannot be written: \(error.reason)")
        }
        let file: OwnedFile
        do throws(Errno) { file = OwnedFile(try FileDescriptor(creating: path)) } catch { throw failure(error) }
        try TarArchive.write(entries) { bytes throws(SoradError) in
            do throws(Errno) { try file.descriptor.write(bytes) } catch { throw failure(error) }
        }
        // A checkpoint may change between two requests, so no archive is a part of another.
        var response = Response.file(
            try OpenFile(path: path), contentType: "application/x-tar", entityTag: "\(MonotonicTime.now().nanoseconds)-job", for: request)
        response.headers["content-disposition"] = "attachment; filename=\"\(job.id).tar\""
        return response
    }

    @Sendable func importJob(_ request: Request) throws -> Response {
        let viewer = access.viewer(request.peer)
        let record = try IdempotencyRecord(request)
        if let job = try service.earlier(record, owner: viewer.user) { return answer(job, viewer) }
        let ignored = try request.fields.unused(by: RequestFields.importJob)
        guard let upload = try request.fields.file("file") else { throw request.fields.missing("file") }
        let highest = viewer.isAdmin ? JobService.priorityRange.upperBound : 0
        let priority = try request.fields.integer("priority", in: JobService.priorityRange.lowerBound...highest) ?? 0
        let draft = try service.draft()
        try service.checkSpace(for: upload.size)
        var plan: ClipPlan
        do throws(SoradError) {
            plan = try draft.unpack(size: upload.size) { offset, count throws(SoradError) in try upload.read(offset, count) }
        } catch {
            switch error.kind {
            case .badInput: throw request.fields.invalid("file", "cannot be used: \(error.message)", code: "invalid_file")
            case .conflict: throw APIError.conflict(error.message, code: "job_finished")
            default: throw error
            }
        }
        plan.notes.ignored = ignored
        let model = try model(named: plan.model, request.fields)
        try model.check(plan)
        plan.referencePixels = try look(at: plan, in: draft, request)
        let digest = try planDigest(of: plan, model: model, draft: draft)
        if let entry = models.entry(model.id) { readings.add(to: &plan, model, at: entry.path) }
        let job = try service.submit(
            owner: viewer, plan, model: model, priority: priority, draft: draft, record: record, digest: digest)
        return answer(job, viewer)
    }

    /// Looks at the given files that the plan names.
    /// - Returns: `MediaFacts.heldPixels` of the largest.
    private func look(at plan: ClipPlan, in draft: JobDraft, _ request: Request) throws -> Int {
        guard let given = plan.given else { return 0 }
        var files: [(name: String, isPicture: Bool, isMedia: Bool)] = []
        if given.hasFirstFrame { files.append((ReferenceFile.firstFrame.rawValue, true, true)) }
        if given.hasLastFrame { files.append((ReferenceFile.lastFrame.rawValue, true, true)) }
        if given.hasMask { files.append((ReferenceFile.mask.rawValue, !given.maskIsClip, true)) }
        for (file, _) in zip(ReferenceFile.references, given.references) { files.append((file.rawValue, true, true)) }
        for (clip, role) in [(given.before, ReferenceFile.before), (given.after, .after), (given.source, .source)] {
            guard let clip else { continue }
            for (index, part) in clip.allParts.enumerated() { files.append((clip.fileName(index, as: role), false, part.kind == .mp4)) }
        }
        var pixels = 0
        for (name, isPicture, isMedia) in files {
            guard draft.has(name) else {
                throw request.fields.invalid("file", "has no \(name), which its plan needs", code: "invalid_file")
            }
            guard isMedia else { continue }
            let facts: MediaFacts
            do throws(SoradError) {
                facts = try inspectReferenceFile(at: draft.place(named: name), worker: worker) { request.gone.isStopped }
            } catch {
                guard error.kind == .badInput else { throw error }
                throw request.fields.invalid("file", "cannot be used: \(name): \(error.message)", code: "invalid_file")
            }
            guard facts.isPicture == isPicture else {
                throw request.fields.invalid("file", "has a \(name) that is a \(isPicture ? "clip" : "picture")", code: "invalid_file")
            }
            pixels = max(pixels, facts.heldPixels)
        }
        return pixels
    }
}
