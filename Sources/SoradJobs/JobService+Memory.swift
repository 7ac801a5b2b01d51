// Whether there is memory for a clip. A request is measured as if it were the only one: it competes with other programs, not with the
// queue. Beside other clips it is begun only when it fits next to them (`JobMachine.hasMemory`).
import SoradAPI
public import SoradSystem
import Synchronization

/// What there is for worker and ffmpeg together.
public struct MemoryBudget: Sendable {
    /// The machine's and the control group's; asked for every job. nil when it cannot be told: nothing is refused then.
    public var room: @Sendable () -> MemoryRoom? = { MemoryRoom.ofThisProcess() }
    /// Bytes; nil is as many as there are.
    public var limit: Int?
    /// 0 is as many as there are.
    public var limitMegabytes: Int {
        get { (limit ?? 0) / 1_000_000 }
        set { limit = newValue == 0 ? nil : newValue * 1_000_000 }
    }

    public init() {}

    /// What there is for the workers of these process numbers: what they hold already counts as free.
    func current(workers: [Int32]) -> MemoryRoom? {
        guard var room = room() else { return limit.map { MemoryRoom(available: $0, most: $0) } }
        room.available += workers.reduce(0) { $0 + MemoryRoom.anonymous(process: $1) }
        room.most = min(room.most, limit ?? .max)
        room.available = min(room.available, room.most)
        return room
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

    /// Bytes that worker and ffmpeg take for the clip at their highest; nil where nobody planned it.
    func memory(for wish: Wish) -> Int? { wish.model?.memory?.bytes(for: wish.request, givenPixels: wish.givenPixels) }

    /// Refuses `wish` when its clip would need more memory than there is now, or than there can ever be.
    func checkMemory(_ wish: Wish) throws(SoradError) {
        guard let model = wish.model, let memory = model.memory, let need = self.memory(for: wish) else { return }
        guard let room = settings.memory.current(workers: processes.all), room.available < need else { return }
        let isHopeless = room.most < need
        let limit = isHopeless ? room.most : room.available
        func fits(_ request: GenerationRequest) -> Bool { memory.bytes(for: request, givenPixels: wish.givenPixels) <= limit }
        let frames = wish.request.largestFrames(model, where: fits)
        let size = wish.request.largestSize(model, where: fits)
        let smaller = [frames.map { "at most \($0) frames" }, size.map { "\($0.width)x\($0.height)" }].compactMap { $0 }
        let advice = smaller.isEmpty ? "" : "ask for \(smaller.joined(separator: ", or for "))"
        let field = frames == nil ? "size" : "num_frames"
        guard !isHopeless else {
            throw SoradError(
                .badInput,
                "This clip needs \(megabytes(need)) of memory, and sorad can use \(megabytes(room.most)) here at most; "
                    + (advice.isEmpty ? "no clip of this model fits into that." : advice + "."), param: field,
                code: "insufficient_memory")
        }
        throw SoradError(
            .unavailable,
            "This clip needs \(megabytes(need)) of memory, and \(megabytes(room.available)) are free now; try again later"
                + (advice.isEmpty ? "." : ", or \(advice)."), param: field, code: "insufficient_memory", retryAfter: JobService.memoryRetry)
    }
}

extension GenerationRequest {
    /// The largest smaller size, of about the same shape and of as many frames, for which `fits` holds.
    func largestSize(_ model: ModelInfo, where fits: (GenerationRequest) -> Bool) -> (width: Int, height: Int)? {
        let steps = max(width, height) / model.sizeMultiple
        for step in stride(from: steps - 1, to: 0, by: -1) {
            var smaller = self
            func side(_ side: Int) -> Int { max(1, side * step / steps / model.sizeMultiple) * model.sizeMultiple }
            (smaller.width, smaller.height) = (side(width), side(height))
            if fits(smaller) { return (smaller.width, smaller.height) }
        }
        return nil
    }
}
