// POST /v1/content_provenance_checks: where does this clip come from? Owns no state.
// Certain findings (this very file was made here) are kept apart from claims in the file.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    @Sendable func checkProvenance(_ request: Request) throws -> Response {
        _ = try request.fields.unused(by: RequestFields.provenanceCheck)
        guard let upload = try request.fields.clipFile("file") else { throw request.fields.missing("file") }
        let made = service.madeClip(sha256: try upload.hexadecimalDigest())
        let finding: ProvenanceFinding
        if let made {
            let isVisible = try service.job(made.job, viewer: access.viewer(request.peer)) != nil
            // Its marks are a remark; that it was made here is certain without them.
            finding = .madeHere(made, isVisible: isVisible, try? mark(of: upload, request))
        } else {
            finding = .marked(try mark(of: upload, request))
        }
        return .json(
            JSONValue.object([
                "object": "content_provenance_check", "created_at": .integer(TimeSource.system.unixSeconds()),
                "results": .array([finding.json]),
            ]))
    }

    private func mark(of upload: Upload, _ request: Request) throws -> ProvenanceMark {
        let place = try service.scratch()
        try service.checkSpace(for: upload.bytesToWrite)
        try upload.move(to: place.path(.source))
        do throws(SoradError) {
            return try readProvenanceMark(at: place.path(.source), worker: worker) { request.gone.isStopped }
        } catch {
            guard error.kind == .badInput else { throw error }
            throw request.fields.invalid("file", "cannot be checked: \(error.message)", code: "invalid_file")
        }
    }
}

/// The finding about a file.
private enum ProvenanceFinding {
    /// `isVisible`: who asks may see the job.
    case madeHere(ClipDigest, isVisible: Bool, ProvenanceMark?)
    case marked(ProvenanceMark)

    var json: JSONValue {
        var object: JSONObject = ["type": "c2pa"]
        switch self {
        case .madeHere(let clip, let isVisible, let mark):
            object["outcome"] = "detected"
            object["validation_state"] = "trusted"
            object["issuer"] = .string("sorad \(soradVersion)")
            object["model"] = .string(clip.model)
            object["generated_at"] = .string(rfc3339Date(clip.completedAt))
            object["origin"] = "this_sorad"
            object["video_id"] = .optional(isVisible ? clip.job.text : nil)
            if let mark { write(mark, to: &object) }
        case .marked(let mark):
            let (state, origin) =
                switch mark.state {
                case .unmarked: ("not_present", "none")
                case .unreadable: ("invalid", "unknown")
                case .marked: ("valid", mark.isOfSorad ? "another_sorad" : "another_program")
                }
            object["outcome"] = mark.state == .marked ? "detected" : "not_detected"
            object["validation_state"] = .string(state)
            object["issuer"] = .optional(mark.program)
            object["model"] = .optional(mark.model)
            object["generated_at"] = .null
            object["origin"] = .string(origin)
            write(mark, to: &object)
        }
        return .object(object)
    }

    private func write(_ mark: ProvenanceMark, to object: inout JSONObject) {
        let evidence = JSONValue.array(mark.evidence.map { .string($0) })
        object["evidence"] = evidence
        // The name of earlier versions, for their clients.
        object["signs"] = evidence
        if mark.evidence.contains("aigc") {
            object["aigc"] = ["content_producer": .optional(mark.producer), "produce_id": .optional(mark.produceID)]
        }
    }
}

extension Fields {
    private static let dataURLLimit = 24 << 20

    /// A file under `name`: a part of a form, a `data:` URL, or base64 alone. nil when there is none.
    fileprivate func clipFile(_ name: String) throws(APIError) -> Upload? {
        guard has(name) else { return nil }
        if isFile(name) { return try file(name) }
        guard let bytes = fileContent(try requiredText(name, maxBytes: Fields.dataURLLimit)) else {
            throw invalid(name, "must be a file, or a URL of the form data:video/mp4;base64,…")
        }
        return Upload(bytes: bytes)
    }
}
