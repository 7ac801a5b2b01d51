// Whether there is memory for a clip, and what it will take. A request is measured as if it were the only one: it competes with other programs, not with the
// queue. While others run it is begun only when it fits next to them (`JobMachine.hasMemory`).
public import SoradAPI
public import SoradSystem
import Synchronization

/// The memory for workers and their ffmpegs together.
public struct MemoryBudget: Sendable {
    /// The machine's and the control group's; asked for every job. nil when it cannot be told: nothing is refused then.
    public var headroom: @Sendable () -> MemoryHeadroom? = { MemoryHeadroom.ofThisProcess() }
    /// Bytes; nil is as many as there are.
    public var limit: Int?
    /// 0 is as many as there are.
    public var limitMegabytes: Int {
        get { (limit ?? 0) / 1_000_000 }
        set { limit = newValue == 0 ? nil : newValue * 1_000_000 }
    }

    public init() {}

    /// The memory for the workers of these process numbers; memory that they hold already counts as free.
    func current(workers: [Int32]) -> MemoryHeadroom? {
        guard var headroom = headroom() else { return limit.map { MemoryHeadroom(available: $0, most: $0) } }
        headroom.available += workers.reduce(0) { $0 + MemoryHeadroom.anonymous(process: $1) }
        headroom.most = min(headroom.most, limit ?? .max)
        headroom.available = min(headroom.available, headroom.most)
        return headroom
    }
}

/// The process numbers of the workers, as their supervisors say them.
final class WorkerProcesses: Sendable {
    private let numbers = Mutex<[WorkerSlot: Int32]>([:])

    subscript(_ slot: WorkerSlot) -> Int32? {
        get { numbers.withLock { $0[slot] } }
        set { numbers.withLock { $0[slot] = newValue } }
    }
    var all: [Int32] { numbers.withLock { Array($0.values) } }
}

extension JobService {
    /// Seconds after which somebody else may have given memory back.
    private static let memoryRetry = 30

    /// Refuses `plan` when its clip would need more memory than there is now, or than there can ever be.
    func checkMemory(_ plan: ClipPlan, _ model: ModelInfo?) throws(SoradError) {
        guard let model, let need = plan.memory(of: model) else { return }
        guard let headroom = settings.memory.current(workers: processes.all), headroom.available < need else { return }
        let isHopeless = headroom.most < need
        let limit = isHopeless ? headroom.most : headroom.available
        func fits(_ plan: ClipPlan) -> Bool { plan.memory(of: model) ?? 0 <= limit }
        let frames = plan.largestFrames(model, where: fits)
        let size = plan.largestSize(model, where: fits)
        let smaller = [frames.map { "at most \($0) frames" }, size.map { "\($0.width)x\($0.height)" }].compactMap { $0 }
        let advice = smaller.isEmpty ? "" : "ask for \(smaller.joined(separator: ", or for "))"
        let field = frames == nil ? "size" : "num_frames"
        guard !isHopeless else {
            throw SoradError(
                .badInput,
                "this clip needs \(megabytes(need)) of memory, and sorad can use \(megabytes(headroom.most)) here at most; "
                    + (advice.isEmpty ? "no clip of this model fits into that" : advice), param: field,
                code: "insufficient_memory")
        }
        throw SoradError(
            .unavailable,
            "this clip needs \(megabytes(need)) of memory, and \(megabytes(headroom.available)) are free now; try again later"
                + (advice.isEmpty ? "" : ", or \(advice)"), param: field, code: "insufficient_memory", retryAfter: JobService.memoryRetry)
    }
}

extension JobService {
    /// What the clip of `plan` will take of this machine: by the clips like it that were made here, else by what the engine measured of the
    /// model. nil where neither says anything.
    public func estimate(of plan: ClipPlan, _ model: ModelInfo?) -> ClipEstimate? {
        guard let model, model.memory != nil || model.time != nil else { return nil }
        var estimate = ClipEstimate(memory: plan.memory(of: model) ?? 0)
        estimate.wantedMemory = model.memory?.wantedBytes(for: plan, referencePixels: plan.referencePixels) ?? 0
        let headroom = settings.memory.current(workers: processes.all)
        estimate.isMemoryShort = headroom.map { $0.available < estimate.wantedMemory } ?? false
        let known = expectedSeconds(for: plan)
        if known[JobPhase.denoising.rawValue] ?? 0 > 0 {
            (estimate.seconds, estimate.basis) = (known.values.reduce(0, +), .history)
        } else if let time = model.time {
            (estimate.seconds, estimate.basis) = (time.seconds(for: plan).values.reduce(0, +), .arithmetic)
        }
        return estimate
    }
}

extension ClipPlan {
    /// The largest smaller size, of as many frames, for which `fits` holds: of about the same shape, or one that the model declares.
    func largestSize(_ model: ModelInfo, where fits: (ClipPlan) -> Bool) -> (width: Int, height: Int)? {
        for size in smallerSizes(model) {
            var smaller = self
            (smaller.width, smaller.height) = (size.width, size.height)
            if fits(smaller) { return (size.width, size.height) }
        }
        return nil
    }

    /// The largest first.
    private func smallerSizes(_ model: ModelInfo) -> [PictureSize] {
        guard model.declaredSizes.isEmpty else {
            func area(_ size: PictureSize) -> Int { size.width * size.height }
            return model.declaredSizes.filter { area($0) < width * height }.sorted { area($0) > area($1) }
        }
        let steps = max(width, height) / model.sizeMultiple
        return stride(from: steps - 1, to: 0, by: -1).map { step in
            func side(_ side: Int) -> Int { max(1, side * step / steps / model.sizeMultiple) * model.sizeMultiple }
            return PictureSize(width: side(width), height: side(height))
        }
    }
}
