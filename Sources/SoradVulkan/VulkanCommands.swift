// Owns the commands of a device: they are recorded into command buffers of some dozen each, and several of these are submitted
// together. A denoise step gives the same commands as the one before: while the commands that come are those of a command buffer that was
// recorded, nothing is recorded, and the buffer is submitted again. So a clip's steps are recorded once, and nobody has to say where they
// begin. What changes from step to step (a timestep's embedding, dt) is in memory that the host writes.
//
// Invariants: commands run in the order in which they came. What was recorded is followed only as long as every command is equal to the
// one that comes; where that ends within a command buffer, its first commands are recorded once more. No command buffer is submitted while
// it runs.
// `unsafe` here: Vulkan's structures are chains of pointers, which live as long as the call that reads them.
internal import CSoradVulkan
import SoradSystem

/// One command buffer with its commands.
final class VulkanRecording {
    let buffer: VulkanCommandBuffer
    fileprivate(set) var commands: [(command: VulkanCommand, work: Int)] = []
    /// Multiply-adds of all commands, about.
    fileprivate(set) var work = 0
    /// Whether it may be submitted again.
    fileprivate var isKept: Bool
    /// From when it is handed over until it has run.
    fileprivate var isBusy = false
    fileprivate var lastUse = 0
    /// What came behind it, which is likely to come again.
    fileprivate weak var next: VulkanRecording?

    fileprivate init(_ buffer: VulkanCommandBuffer, isKept: Bool) {
        self.buffer = buffer
        self.isKept = isKept
    }
}

@safe final class VulkanCommands {
    /// Commands of a command buffer; submissions that may be under way; command buffers that are kept.
    private static let mostCommands = 32
    private static let mostRunning = 3
    private static let mostKept = 1024
    /// Nanoseconds after which a device that does not answer counts as lost. A processor that plays a device may be slow.
    private static let answerLimit: UInt64 = 120_000_000_000

    let device: VulkanConnection
    private let pool: VulkanCommandPool
    private let emitter: VulkanEmitter
    /// Whether what is recorded may come again; false for commands that are made from random numbers.
    var keeps = true

    /// Recordings by their first command.
    private var kept: [VulkanCommand: [VulkanRecording]] = [:]
    private var keptCount = 0
    /// The last one that was recorded to be kept, or submitted again.
    private weak var last: VulkanRecording?
    /// What is recorded now.
    private var open: VulkanRecording?
    /// What comes now is equal to this one's commands before `cursor`.
    private var followed: (recording: VulkanRecording, cursor: Int)?
    /// Where that ended, because what had come was submitted: the rest is recorded once more, so that the next one can be followed again.
    private var interrupted: (recording: VulkanRecording, cursor: Int)?
    /// What the next submission has so far.
    private var pending: [VulkanRecording] = []
    private var pendingWork = 0
    private var running: [(fence: VkFence, recordings: [VulkanRecording])] = unsafe []
    private var freeFences: [VkFence] = unsafe []

    init(_ device: VulkanConnection) throws(SoradError) {
        self.device = device
        pool = try VulkanCommandPool(device)
        emitter = VulkanEmitter(device)
        for _ in 0..<Self.mostRunning {
            var info = unsafe VkFenceCreateInfo()
            unsafe info.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO
            var fence: VkFence?
            try VulkanConnection.check(unsafe device.functions.vkCreateFence(device.handle, &info, nil, &fence), "fence", device.info)
            unsafe freeFences.append(fence!)
        }
    }

    deinit {
        device.rest()
        unsafe freeFences += running.map(\.fence)
        unsafe freeFences.forEach { fence in unsafe device.functions.vkDestroyFence(device.handle, fence, nil) }
    }

    /// Nothing runs, and nothing waits to be submitted.
    var isIdle: Bool { unsafe open == nil && followed == nil && pending.isEmpty && running.isEmpty }

    // MARK: Adding

    /// Adds a command of about `work` multiply-adds.
    func add(_ command: VulkanCommand, work: Int = 0) {
        guard device.fault == nil else { return }
        if case .dispatch = command { device.counters.dispatches += 1 }
        if !keeps, followed != nil { interrupt() }
        if follows(command) { return }
        if let (recording, cursor) = interrupted {
            if keeps, recording.commands[cursor].command == command {
                record(command, work, isKept: false)
                interrupted = (recording, cursor + 1)
                if cursor + 1 == recording.commands.count {
                    close()
                    interrupted = nil
                    last = recording
                }
                return
            }
            if keeps { interrupted = nil }
        }
        if open == nil, keeps, let found = recording(startingWith: command) {
            if pendingWork + found.work > device.counters.submissionLimit { submit() }
            guard device.fault == nil else { return }
            last?.next = found
            return follow(found, 1)
        }
        record(command, work, isKept: keeps)
    }

    /// Whether `command` is the next one of what is followed, or of another recording with the same commands before it.
    private func follows(_ command: VulkanCommand) -> Bool {
        guard let (recording, cursor) = followed else { return false }
        if recording.commands[cursor].command == command {
            follow(recording, cursor + 1)
            return true
        }
        let others = kept[recording.commands[0].command] ?? []
        let other = others.first { other in
            other !== recording && !other.isBusy && other.commands.count > cursor && other.commands[cursor].command == command
                && pendingWork + other.work <= device.counters.submissionLimit
                && (0..<cursor).allSatisfy { other.commands[$0].command == recording.commands[$0].command }
        }
        if let other {
            last?.next = other
            follow(other, cursor + 1)
            return true
        }
        // Its first commands are the beginning of something new.
        followed = nil
        repeatCommands(of: recording, before: cursor, isKept: true)
        return false
    }

    private func follow(_ recording: VulkanRecording, _ cursor: Int) {
        guard cursor == recording.commands.count else {
            followed = (recording, cursor)
            return
        }
        followed = nil
        device.counters.replays += 1
        handOver(recording)
        last = recording
    }

    /// What came behind the last one when it came before, else any that begins so.
    private func recording(startingWith command: VulkanCommand) -> VulkanRecording? {
        if let next = last?.next, next.isKept, !next.isBusy, next.commands[0].command == command { return next }
        return kept[command]?.last { !$0.isBusy }
    }

    private func record(_ command: VulkanCommand, _ work: Int, isKept: Bool) {
        let limit = device.counters.submissionLimit
        if let open {
            let isFull = open.commands.count >= Self.mostCommands || open.work > 0 && open.work + work > limit / 4
            if isFull || open.isKept != isKept { close() }
        }
        if pendingWork + (open?.work ?? 0) + work > limit { submitHandedOver() }
        if open == nil {
            guard let buffer = pool.take() else { return }
            let new = VulkanRecording(buffer, isKept: isKept)
            guard emitter.begin(buffer, pool) else { return }
            device.counters.recordings += 1
            open = new
        }
        guard let open else { return }
        emitter.emit(command, buffer: open.buffer)
        open.commands.append((command, work))
        open.work += work
    }

    private func repeatCommands(of recording: VulkanRecording, before end: Int, isKept: Bool) {
        for (command, work) in recording.commands[..<end] { record(command, work, isKept: isKept) }
    }

    /// Ends what is recorded.
    private func close() {
        guard let recording = open else { return }
        open = nil
        guard emitter.end(recording.buffer, pool) else { return }
        handOver(recording)
        guard recording.isKept else { return }
        if keptCount >= Self.mostKept { forgetOldest() }
        kept[recording.commands[0].command, default: []].append(recording)
        keptCount += 1
        last?.next = recording
        last = recording
    }

    private func handOver(_ recording: VulkanRecording) {
        recording.isBusy = true
        recording.lastUse = device.counters.submissions
        pending.append(recording)
        pendingWork += recording.work
    }

    // MARK: Submitting

    /// Hands everything so far to the device.
    func submit() {
        interrupt()
        submitPending()
    }

    /// Ends a command buffer here: what comes next is in another one.
    func interrupt() {
        if let (recording, cursor) = followed {
            followed = nil
            interrupted = (recording, cursor)
            repeatCommands(of: recording, before: cursor, isKept: false)
        }
        close()
    }

    /// As `submit`, while commands are recorded.
    private func submitHandedOver() {
        close()
        submitPending()
    }

    private func submitPending() {
        guard !pending.isEmpty, device.fault == nil else { return }
        if unsafe running.count >= Self.mostRunning { waitForOldest() }
        guard device.fault == nil else { return }
        if device.counters.submissions == device.faults.lostAtSubmission {
            return device.fail("a submission failed: \(VK_ERROR_DEVICE_LOST.sentence)")
        }
        guard let fence = unsafe freeFences.popLast() else { return }
        let buffers = unsafe pending.map { recording in
            var info = unsafe VkCommandBufferSubmitInfo()
            unsafe info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO
            unsafe info.commandBuffer = recording.buffer.handle
            return unsafe info
        }
        let result = unsafe buffers.withUnsafeBufferPointer { buffers in
            var info = unsafe VkSubmitInfo2()
            unsafe info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2
            unsafe (info.commandBufferInfoCount, info.pCommandBufferInfos) = (UInt32(buffers.count), buffers.baseAddress)
            return unsafe device.functions.vkQueueSubmit2(device.queue, 1, &info, fence)
        }
        unsafe running.append((fence, pending))
        device.counters.longestSubmission = max(device.counters.longestSubmission, pendingWork)
        (pending, pendingWork) = ([], 0)
        guard device.succeeded(result, "a submission") else { return }
        device.counters.submissions += 1
    }

    private func waitForOldest() {
        guard let oldest = unsafe running.first else { return submit() }
        var fence: VkFence? = unsafe oldest.fence
        let result = unsafe device.functions.vkWaitForFences(device.handle, 1, &fence, 1, Self.answerLimit)
        guard device.succeeded(result, "a submission"),
            unsafe device.succeeded(device.functions.vkResetFences(device.handle, 1, &fence), "a submission")
        else { return }
        unsafe running.removeFirst()
        unsafe freeFences.append(oldest.fence)
        for recording in unsafe oldest.recordings {
            recording.isBusy = false
            device.counters.secondsOnDevice += emitter.seconds(recording.buffer, pool)
        }
    }

    /// Submits and waits for everything.
    func settle() {
        submit()
        while unsafe !running.isEmpty, device.fault == nil { waitForOldest() }
    }

    // MARK: Forgetting

    /// Drops what names a buffer that is about to be destroyed.
    func forget(buffer: UInt) { forget { $0.commands.contains { $0.command.names(buffer: buffer) } } }

    /// Drops everything that is kept: its pipelines are about to be destroyed.
    func forgetAll() { forget { _ in true } }

    private func forgetOldest() {
        let oldest = kept.values.joined().min { $0.lastUse < $1.lastUse }
        forget { $0 === oldest }
    }

    private func forget(where isGone: (VulkanRecording) -> Bool) {
        for (first, recordings) in kept {
            let left = recordings.filter { !isGone($0) }
            guard left.count < recordings.count else { continue }
            for recording in recordings where isGone(recording) { recording.isKept = false }
            keptCount -= recordings.count - left.count
            kept[first] = left.isEmpty ? nil : left
        }
    }
}
