// Owns the memory of one computation: a single block from which tensors are cut in order, all freed together.
//
// A workspace is described once, by code that cuts tensors from an arena. Run on a measuring arena it says how many bytes are needed
// before any are allocated; run on a real one it gives the tensors.

public final class Arena {
    private let storage: Storage
    /// Bytes cut so far.
    public private(set) var used = 0

    public init(byteCount: Int) { storage = Storage(byteCount: byteCount) }

    private init(measuring: ()) { storage = Storage(measuring: ()) }

    /// Bytes that `workspace` cuts. Its tensors must not be read or written.
    public static func measure<Workspace>(_ workspace: (Arena) -> Workspace) -> Int {
        let arena = Arena(measuring: ())
        _ = workspace(arena)
        return arena.used
    }

    /// A workspace in an arena of just its size.
    public static func make<Workspace>(_ workspace: (Arena) -> Workspace) -> Workspace {
        workspace(Arena(byteCount: measure(workspace)))
    }

    /// Cuts a tensor; its elements are zero in a fresh arena.
    public func tensor(_ shape: Shape) -> Tensor {
        Tensor(shape, storage: storage, offset: cut(shape.count * 4))
    }

    public func bytes(_ count: Int) -> ByteBuffer {
        ByteBuffer(storage: storage, offset: cut(count), count: count)
    }

    private func cut(_ byteCount: Int) -> Int {
        let start = used
        let rounded = (byteCount + Storage.alignment - 1) / Storage.alignment * Storage.alignment
        precondition(rounded <= storage.byteCount - start, "arena of \(storage.byteCount) bytes cannot give \(rounded) more after \(start)")
        used += rounded
        return start
    }
}
