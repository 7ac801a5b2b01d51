// Turns a clip's latents into its files: decoder → frame stages → hash and encoder, between the frames of given clips.
// Invariant: frames never pile up; each goes through the stages into the hash and the encoder at once.
package import SoradAPI
import SoradMedia
import SoradModel
package import SoradSystem
import SoradTensor

extension ClipDecoder: ResumableFrames {}

/// What is left of a clip when its frames are written.
struct WrittenClip {
    let files: ClipFiles
    /// Of the raw frames, hexadecimal.
    let sha256: String
    /// Frames that an earlier worker had left.
    let resumedFrames: Int
    /// What writing checkpoints took.
    let checkpointTime: Duration
}

/// The end of the chain: every frame goes into the hash and to ffmpeg, in order.
private struct FrameSink {
    private let encoder: ClipEncoder
    private var hash = SHA256()
    private(set) var count = 0

    init(_ encoder: ClipEncoder) { self.encoder = encoder }

    mutating func put(_ frame: [UInt8]) throws(SoradError) {
        hash.update(frame)
        try encoder.append(frame)
        count += 1
    }

    mutating func finish() throws(SoradError) -> (files: ClipFiles, sha256: String) {
        (try encoder.finish(), SHA256.hexadecimal(hash.finalize()))
    }
}

extension ClipPipeline {
    /// Hands over frames of a finished clip as they were decoded, without loss.
    /// - Parameters:
    ///   - parts: some of `request.parts`, with the names of their files.
    ///   - directory: of its job.
    /// - Throws: with the code `media_failed` when they are not there, or another model's.
    package func decode(
        _ parts: [(part: ClipPart, file: String)], of request: ClipPlan, in directory: String,
        frame: ([UInt8]) throws(SoradError) -> Void
    ) throws(SoradError) {
        let encoder = references(request, directory, digest: [], {})
        for (part, file) in parts { try encoder.forEachFrame(of: part, file, frame) }
    }

    /// Decodes all latents into files in `directory`.
    func write(
        _ latents: LatentFile, _ request: ClipPlan, _ plan: FramePlan, _ directory: String, digest: [UInt8], _ checkpoint: Checkpoint?,
        _ job: RunningJob
    ) throws(SoradError) -> WrittenClip {
        let total = plan.output.numFrames
        let stop = job.stop
        func newDecoder() -> ClipDecoder {
            model.decoder(total: latents.frames, latentHeight: latents.height, latentWidth: latents.width)
        }
        var decoder = newDecoder()
        let chain = try plan.chain()
        // Given clips' frames pass before and after; what comes out meanwhile is made again and not kept.
        var kept = checkpoint?.frames(
            [decoder] + chain.stages, frameBytes: plan.output.frameBytes, numFrames: plan.outputFrames(of: request.newFrames.count))
        // The first report says whether the job continues here, and where.
        let resumed = kept?.restore(groups: latents.frames)
        // What was reported before: the frames that were kept lie behind those of a clip that is continued, which pass again.
        let told = resumed.map { min(total, $0 + plan.outputFrames(of: request.given?.before?.numFrames ?? 0)) } ?? 0
        if resumed != nil {
            try job.resumed(.decoding, told, of: total)
        } else {
            try job.reached(.decoding, 0, of: total)
        }
        var sink = FrameSink(
            try ClipEncoder(
                plan.output, into: directory, provenance: provenance(of: job.identifier), marking: marking, job: job.identifier,
                program: ffmpeg, shouldStop: { (try? stop()) == nil }))
        func take(_ frame: [UInt8]) throws(SoradError) {
            try sink.put(frame)
            try job.reached(.decoding, max(sink.count, told), of: total)
        }
        if let before = request.given?.before {
            // The stages of a clip that is continued have these frames behind them: others make what came out of them.
            let first = resumed == nil ? chain : try plan.chain()
            try forEachFrame(.before, before, request, directory, digest, stop) { frame throws(SoradError) in
                try first.push(frame, job, sink: take)
            }
        }
        if let kept, let resumed {
            for index in 0..<resumed {
                try sink.put(kept.frame(index))
                try stop()
            }
        }
        // The next frame of the clip: a decoder that begins again on the CPU makes those before it once more.
        var next = decoder.frames
        while decoder.isUnfinished {
            do throws(SoradError) {
                let latent = model.backend.resident(try latents.read(decoder.groups))
                try decoder.next(latent, stop: stop) { (index, frame) throws(SoradError) in
                    // A frame of a device that has failed is none.
                    try model.backend.finish()
                    guard index >= next else { return }
                    next = index + 1
                    guard request.newFrames.contains(index) else { return }
                    try chain.push(frame, job) { frame throws(SoradError) in
                        try take(frame)
                        kept?.keep(frame)
                    }
                }
                try model.backend.finish()
            } catch {
                try leaveDevice(error)
                // The checkpoint is that of the device's decoder.
                (decoder, kept) = (newDecoder(), nil)
                continue
            }
            if job.isPutDown(), let kept, kept.storeLast() {
                checkpoint?.keepNewest()
                throw SoradError.putDown
            }
            kept?.store()
        }
        if let after = request.given?.after, request.isAfterShown {
            try forEachFrame(.after, after, request, directory, digest, stop) { frame throws(SoradError) in
                try chain.push(frame, job, sink: take)
            }
        }
        try chain.finish(job, sink: take)
        try job.reached(.writing, 0, of: 1)
        let (files, sha256) = try sink.finish()
        return WrittenClip(files: files, sha256: sha256, resumedFrames: resumed ?? 0, checkpointTime: kept?.spent ?? .zero)
    }

    /// Hands over every frame of a given clip, in order, each once: where a device fails, the CPU makes those before once more.
    private func forEachFrame(
        _ role: ReferenceFile, _ clip: ReferenceClip, _ request: ClipPlan, _ directory: String, _ digest: [UInt8],
        _ stop: @escaping StopCheck, _ body: ([UInt8]) throws(SoradError) -> Void
    ) throws(SoradError) {
        var next = 0
        try onceMoreOnHost { () throws(SoradError) in
            var index = 0
            try references(request, directory, digest: digest, stop).forEachFrame(role, clip, clip.numFrames) { frame throws(SoradError) in
                try model.backend.finish()
                index += 1
                guard index > next else { return }
                next = index
                try body(frame)
            }
        }
    }
}
