// Clips that another worker continues to decode.
import Glibc
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor
import Synchronization
import Testing

@Suite struct FrameCheckpointTests {
    /// Five groups of frames.
    private static let request: ClipPlan = {
        var request = PipelineFixture.request(steps: 2)
        request.numFrames = 17
        return request
    }()
    /// Writing a checkpoint takes no time on this clock, so every group is written.
    private static let frozen = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1_000) }, unixMilliseconds: { 0 }, processor: { .zero })

    private func pipeline() throws -> ClipPipeline {
        try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1), time: Self.frozen, checkpointInterval: .zero)
    }

    /// Makes the clip until `frames` of it are taken. Decoding ends with the frame that was reported last.
    private func stopped(_ pipeline: ClipPipeline, afterFrames frames: Int) throws -> String {
        let directory = PipelineFixture.scratch("stopped")
        let stop = StopFlag()
        let taken = Mutex(0)
        _ = #expect(throws: JobError.self) {
            try pipeline.makeClip(Self.request, into: directory, stop: stop.check) { progress in
                guard progress.phase == .decoding else { return }
                // The first report says that decoding begins.
                let count = taken.withLock { count in
                    count += 1
                    return count - 1
                }
                if count >= frames { stop.stop() }
            }
        }
        return directory
    }

    @Test func aClipThatWasStoppedAfterAnyFrameGoesOnWithTheNextGroup() throws {
        let pipeline = try pipeline()
        let whole = try pipeline.makeClip(Self.request, into: PipelineFixture.scratch("whole"))
        #expect(whole.resumedFrames == 0 && whole.resumedStep == 0)
        for frames in 0..<17 {
            let directory = try stopped(pipeline, afterFrames: frames)
            let told = Mutex<Int?>(nil)
            let again = try pipeline.makeClip(Self.request, into: directory) { progress in
                if progress.phase == .decoding { told.withLock { $0 = $0 ?? progress.frame } }
            }
            #expect(told.withLock { $0 } == again.resumedFrames)
            #expect(again.sha256 == whole.sha256)
            // Groups end after frames 1, 5, 9, 13 and 17.
            #expect(again.resumedFrames == (frames < 1 ? 0 : (frames - 1) / 4 * 4 + 1), "stopped after \(frames)")
            // Until the result is recorded another worker may have to take it up once more.
            let third = try pipeline.makeClip(Self.request, into: directory)
            #expect(third.sha256 == whole.sha256 && third.resumedFrames == 17)
        }
    }

    @Test func whatIsDamagedIsNotTakenUp() throws {
        let pipeline = try pipeline()
        let whole = try pipeline.makeClip(Self.request, into: PipelineFixture.scratch("whole"))
        let directory = try stopped(pipeline, afterFrames: 15)
        let kept = PipelineFixture.names(in: directory).filter { CheckpointName.all.contains($0) }
        let states = kept.filter { CheckpointName.decoder.contains($0) }
        #expect(states.count == 3 && kept.contains(CheckpointName.frames))
        func resumed(_ change: (String) throws -> Void) throws -> Int {
            let copy = PipelineFixture.scratch("copy")
            for name in kept { try writeDurably(try bytes(directory + "/" + name), named: name, in: copy) }
            try change(copy)
            let clip = try pipeline.makeClip(Self.request, into: copy)
            #expect(clip.sha256 == whole.sha256)
            return clip.resumedFrames
        }
        func damage(_ name: String, at index: Int, in folder: String) throws {
            var content = try bytes(folder + "/" + name)
            content[index] ^= 1
            try writeDurably(content, named: name, in: folder)
        }
        #expect(try resumed { _ in } == 13)
        // A frame that is wrong makes every state useless that comes after it: those of 9 and 13 frames here, and then all.
        let frame = 64 * 64 * 3
        #expect(try resumed { try damage(CheckpointName.frames, at: 12 * frame + 5, in: $0) } == 9)
        #expect(try resumed { try damage(CheckpointName.frames, at: 5, in: $0) } == 0)
        #expect(
            try resumed {
                try writeDurably(Array(bytes($0 + "/" + CheckpointName.frames).prefix(9 * frame - 1)), named: CheckpointName.frames, in: $0)
            } == 5)
        #expect(try resumed { removeFile($0 + "/" + CheckpointName.frames) } == 0)
        // A state that is torn leaves the ones before it.
        for (broken, left) in [(1, 9), (2, 5), (3, 0)] {
            #expect(
                try resumed { folder in
                    let newest = try states.sorted { try groups(folder, $0) > groups(folder, $1) }
                    for name in newest.prefix(broken) { try damage(name, at: bytes(folder + "/" + name).count / 2, in: folder) }
                } == left)
        }
    }

    /// Of a decoder's state, from its first word.
    private func groups(_ folder: String, _ name: String) throws -> UInt8 { try bytes(folder + "/" + name)[40] }

    @Test func aDiskThatTakesNoneIsNoReasonToFail() throws {
        let pipeline = try pipeline()
        let whole = try pipeline.makeClip(Self.request, into: PipelineFixture.scratch("whole"))
        for names in [[CheckpointName.frames], CheckpointName.decoder] {
            let directory = PipelineFixture.scratch("full")
            for name in names { try makeDirectories(directory + "/" + name) }
            let clip = try pipeline.makeClip(Self.request, into: directory)
            #expect(clip.sha256 == whole.sha256)
            #expect(try pipeline.makeClip(Self.request, into: directory).resumedFrames == 0)
        }
    }
}
