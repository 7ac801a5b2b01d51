// A backend as a graphics card has it: memory that the host cannot address, and operations that run later, on a thread of their own, in
// the order in which they were handed over. Its arithmetic is the scalar kernels', so whatever it computes must have the bits of every
// other backend; what a model gets wrong about memory or waiting shows as other bits or as a trap.
//
// Invariant: device memory is mapped without any access but while the device's thread runs a batch, and the buffers that name it by an
// address are used on that thread alone.
import Glibc
import SoradCPU
package import SoradSystem
@_spi(HostMemory) package import SoradTensor
import Synchronization

/// The thread, its queue and its memory.
@safe private final class Device: @unchecked Sendable {
    private struct Work: @unchecked Sendable { let run: () -> Void }
    private struct State {
        var waiting: [Work] = []
        /// Posted when all that came before has run and the memory is closed again.
        var waiters: [Signal] = []
        var isStopped = false
        var used = 0
        var thread: pthread_t?
    }

    private let state = Mutex(State())
    private let kick = Signal()
    private let base: UnsafeMutableRawPointer
    /// Operations so far that have run.
    let done = Atomic<Int>(0)

    /// Address space, of which pages become memory when they are written.
    private static let size = 1 << 32
    private static let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    /// The number of waiting operations at which the thread begins by itself.
    private static let batch = 64

    init() {
        let memory = unsafe mmap(nil, Self.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        precondition(unsafe memory != MAP_FAILED, "no address space for a device")
        unsafe base = memory!
    }

    deinit { unsafe munmap(base, Self.size) }

    func start() throws(SoradError) {
        do throws(Errno) {
            try SystemThread(name: "device", stackSize: 8 << 20) { [self] in loop() }.detach()
        } catch { throw SoradError(.unavailable, "cannot start a device's thread: \(error)") }
    }

    private func loop() {
        state.withLock { $0.thread = pthread_self() }
        while true {
            kick.wait()
            let (work, waiters, isStopped) = state.withLock { state in
                defer { (state.waiting, state.waiters) = ([], []) }
                return (state.waiting, state.waiters, state.isStopped)
            }
            protect(PROT_READ | PROT_WRITE)
            for item in work {
                item.run()
                done.add(1, ordering: .relaxed)
            }
            protect(PROT_NONE)
            for waiter in waiters { waiter.post() }
            if isStopped { return }
        }
    }

    private func protect(_ access: Int32) {
        let result = unsafe mprotect(base, Self.size, access)
        precondition(result == 0, "mprotect: \(errno)")
    }

    /// Memory of its own for a block, zeroed; it is not used again.
    func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let start = state.withLock { state in
            defer { state.used += (byteCount + Self.page - 1) / Self.page * Self.page }
            return state.used
        }
        precondition(start + byteCount <= Self.size, "the device is full")
        return unsafe base + start
    }

    func submit(_ work: @escaping () -> Void) {
        let item = Work(run: work)
        let count = state.withLock { state in
            state.waiting.append(item)
            return state.waiting.count
        }
        if count % Self.batch == 0 { kick.post() }
    }

    func settle() {
        let finished = Signal()
        state.withLock { $0.waiters.append(finished) }
        kick.post()
        finished.wait()
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        kick.post()
    }

    var isOnItsThread: Bool { state.withLock { $0.thread }.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
}

@safe private final class Signal: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { unsafe sem_init(semaphore, 0, 0) }
    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }
    func post() { unsafe sem_post(semaphore) }
    func wait() { while unsafe sem_wait(semaphore) != 0 {} }
}

/// Device memory as the device's thread sees it.
@safe private final class InsideBuffer: TensorBuffer, @unchecked Sendable {
    private let device: Device
    let start: UnsafeMutableRawPointer

    init(_ device: Device, byteCount: Int) {
        self.device = device
        let memory = unsafe device.allocate(byteCount)
        unsafe start = memory
        unsafe super.init(byteCount: byteCount, hostAddress: memory)
    }

    override func settle() { precondition(device.isOnItsThread, "device memory is used on the device's thread alone") }
}

/// The same memory as the host sees it.
private final class OutsideBuffer: TensorBuffer, @unchecked Sendable {
    let device: Device
    let inside: InsideBuffer
    private let forgetsToSettle: Bool

    init(_ device: Device, byteCount: Int, forgetsToSettle: Bool) {
        self.device = device
        self.forgetsToSettle = forgetsToSettle
        inside = InsideBuffer(device, byteCount: byteCount)
        unsafe super.init(byteCount: byteCount, hostAddress: nil)
    }

    override func settle() { device.settle() }

    override func download(from offset: Int, into bytes: inout MutableRawSpan) {
        let staging = HostBuffer(byteCount: bytes.byteCount)
        let (inside, count) = (inside, bytes.byteCount)
        device.submit { staging.upload(unsafe RawSpan(_unsafeStart: inside.address(offset, count: count), byteCount: count), at: 0) }
        if !forgetsToSettle { device.settle() }
        staging.download(from: 0, into: &bytes)
    }

    override func upload(_ bytes: RawSpan, at offset: Int) {
        let staging = HostBuffer(byteCount: bytes.byteCount)
        let (inside, count) = (inside, bytes.byteCount)
        staging.upload(bytes, at: 0)
        device.submit { inside.upload(unsafe RawSpan(_unsafeStart: staging.address(0, count: count), byteCount: count), at: offset) }
    }
}

private final class DeviceRows: ActivationMatrix {
    let width: Int
    private(set) var values: Tensor
    private let device: Device
    private let outer: Tensor
    let inside: any ActivationMatrix

    init(_ inside: any ActivationMatrix, _ device: Device, in outside: TensorBuffer) {
        self.inside = inside
        self.device = device
        width = inside.width
        outer = Tensor(inside.values.shape, buffer: outside, offset: inside.values.offset)
        values = outer
    }

    func overwrite(rows: Int) -> Tensor {
        let inside = inside
        device.submit { _ = inside.overwrite(rows: rows) }
        values = outer.rows(0..<rows)
        return values
    }
}

private final class DeviceKeysValues: PackedKeysValues {
    let inside: any PackedKeysValues
    let precision: AttentionPrecision
    let heads, headWidth, capacity: Int
    /// As the host knows it, whatever has run.
    var keys = 0

    init(_ inside: any PackedKeysValues) {
        self.inside = inside
        (precision, heads, headWidth, capacity) = (inside.precision, inside.heads, inside.headWidth, inside.capacity)
    }
}

private final class DeviceImage: QuantizedImage {
    let inside: any QuantizedImage
    let shape: Shape
    let bytes: ByteBuffer

    init(_ inside: any QuantizedImage, in outside: TensorBuffer) {
        self.inside = inside
        shape = inside.shape
        bytes = ByteBuffer(buffer: outside, offset: inside.bytes.offset, count: inside.bytes.count)
    }
}

package final class DeferredBackend: ComputeBackend {
    /// Used on the device's thread, but for the sizes of its packed types.
    private let scalar: CPUBackend
    private let device = Device()
    private let forgetsToSettle: Bool

    /// - Parameter forgetsToSettle: a download does not wait for the operations before it: the mistake that tests must find.
    package init(forgetsToSettle: Bool = false) throws(SoradError) {
        scalar = try CPUBackend(threads: 1, instructionSet: InstructionSet(atMost: "scalar"))
        self.forgetsToSettle = forgetsToSettle
        try device.start()
    }

    deinit { device.stop() }

    package var description: String { "deferred scalar device" }

    /// Operations and copies that have run.
    package var operationsRun: Int { device.done.load(ordering: .relaxed) }

    /// Where a tensor lies for the device's thread: an address that is of no use to the host, which tests show.
    @unsafe package func addressInside(_ tensor: Tensor) -> UnsafePointer<Float> {
        let base = unsafe (tensor.buffer as! OutsideBuffer).inside.start + tensor.offset
        return unsafe UnsafePointer(base.assumingMemoryBound(to: Float.self))
    }

    package static let factory = BackendFactory("deferred") { () throws(SoradError) in try DeferredBackend() }

    // MARK: From the host's names to the device's

    private func inside(_ tensor: Tensor) -> Tensor {
        guard let outside = tensor.buffer as? OutsideBuffer, outside.device === device else {
            preconditionFailure("an operation on a tensor that is not in this device's memory")
        }
        return Tensor(tensor.shape, buffer: outside.inside, offset: tensor.offset)
    }

    private func inside(_ tensor: Tensor?) -> Tensor? { tensor.map { inside($0) } }

    private func inside(_ parameter: Parameter) -> Parameter {
        guard let place = parameter.place, let outside = place.buffer as? OutsideBuffer, outside.device === device else {
            preconditionFailure("an operation on weights that were not loaded")
        }
        return Parameter(parameter.elementType, count: parameter.count, in: outside.inside, at: place.offset)
    }

    private func inside(_ parameter: Parameter?) -> Parameter? { parameter.map { inside($0) } }
    private func inside(_ weights: LinearWeights) -> LinearWeights { weights.map { inside($0) } }
    private func inside(_ weights: ConvolutionWeights) -> ConvolutionWeights { weights.map { inside($0) } }
    private func inside(_ vectors: RowModulation?) -> RowModulation? {
        vectors.map { RowModulation(inside($0.table), $0.index, $0.groups) }
    }
    private func inside(_ blocks: Blocks) -> Blocks {
        Blocks(inside(blocks.tensor), start: blocks.start, length: blocks.length, stride: blocks.stride, count: blocks.count)
    }
    private func inside(_ rows: any ActivationMatrix) -> any ActivationMatrix { (rows as! DeviceRows).inside }
    private func inside(_ image: any QuantizedImage) -> any QuantizedImage { (image as! DeviceImage).inside }

    private func run(_ operation: @escaping (CPUBackend) -> Void) {
        let scalar = scalar
        device.submit { operation(scalar) }
    }

    /// One of the scalar backend's own types, in device memory that `arena` gives.
    private func place<Packed>(in arena: Arena, _ make: (Arena) -> Packed) -> (inside: Packed, outside: TensorBuffer) {
        var measured: Packed?
        let bytes = arena.bytes(scalar.measure { measured = make($0) })
        guard let outside = bytes.buffer as? OutsideBuffer else { return (measured!, bytes.buffer) }
        let part = ByteBuffer(buffer: outside.inside, offset: bytes.offset, count: bytes.count)
        return (make(Arena(scalar, in: part)), outside)
    }

    // MARK: Memory

    /// As devices may ask for.
    package var alignment: Int { 256 }
    package var rowGranularity: Int { 8 }
    package var intermediateRows: Int { 100 }

    package func allocate(byteCount: Int) -> TensorBuffer {
        OutsideBuffer(device, byteCount: byteCount, forgetsToSettle: forgetsToSettle)
    }

    package func owns(_ buffer: TensorBuffer) -> Bool { (buffer as? OutsideBuffer)?.device === device }

    package func load(_ parameter: Parameter) -> Parameter {
        let buffer = allocate(byteCount: parameter.count * parameter.elementType.byteSize)
        parameter.withBytes { buffer.upload($0, at: 0) }
        return Parameter(parameter.elementType, count: parameter.count, in: buffer, at: 0)
    }

    package func activations(capacity: Int, width: Int, in arena: Arena) -> any ActivationMatrix {
        let (inside, outside) = place(in: arena) { $0.activations(capacity: capacity, width: width) }
        return DeviceRows(inside, device, in: outside)
    }

    package func keysValues(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision, in arena: Arena)
        -> any PackedKeysValues
    {
        DeviceKeysValues(
            place(in: arena) { $0.keysValues(capacity: capacity, heads: heads, headWidth: headWidth, precision: precision) }.inside)
    }

    package func image(_ shape: Shape, in arena: Arena) -> any QuantizedImage {
        let (inside, outside) = place(in: arena) { $0.image(shape) }
        return DeviceImage(inside, in: outside)
    }

    package func scratchBytes(_ weights: ConvolutionWeights, image: Shape) -> Int { scalar.scratchBytes(weights, image: image) }

    package func finish() { device.settle() }

    // MARK: Operations

    package func copy(_ source: Blocks, into target: Blocks) {
        let (source, target) = (inside(source), inside(target))
        run { $0.copy(source, into: target) }
    }

    package func fill(_ out: Tensor, with value: Float) {
        let out = inside(out)
        run { $0.fill(out, with: value) }
    }

    package func linear(
        _ input: any ActivationMatrix, _ weights: LinearWeights, activation: Activation, gate: RowModulation?, residual: Tensor?,
        into out: Tensor
    ) {
        let (input, weights, gate, residual, out) = (inside(input), inside(weights), inside(gate), inside(residual), inside(out))
        run { $0.linear(input, weights, activation: activation, gate: gate, residual: residual, into: out) }
    }

    package func convolve(
        _ x: Tensor, _ x2: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation, residual: Tensor?,
        reluAtEnd: Bool, into out: Tensor
    ) {
        let partner: ConvolutionPartner = if case .tensor(let other) = x2 { .tensor(inside(other)) } else { x2 }
        let (x, weights, residual, out) = (inside(x), inside(weights), inside(residual), inside(out))
        run {
            $0.convolve(
                x, partner, weights, upsample: upsample, activation: activation, residual: residual, reluAtEnd: reluAtEnd, into: out)
        }
    }

    package func quantize(_ x: Tensor, norm: PixelNorm?, scale: Parameter?, into image: any QuantizedImage) {
        let (x, scale, image) = (inside(x), inside(scale), inside(image))
        let norm = norm.map { PixelNorm(weight: inside($0.weight), epsilon: $0.epsilon) }
        run { $0.quantize(x, norm: norm, scale: scale, into: image) }
    }

    package func convolve(
        _ images: [any QuantizedImage], _ weights: [ConvolutionWeights], upsample: Bool, residual: Tensor?, into out: Tensor
    ) {
        let (images, weights) = (images.map { inside($0) }, weights.map { inside($0) })
        let (residual, out) = (inside(residual), inside(out))
        run { $0.convolve(images, weights, upsample: upsample, residual: residual, into: out) }
    }

    package func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowModulation?, shift: RowModulation?,
        into input: any ActivationMatrix
    ) {
        _ = input.overwrite(rows: x.shape[0])
        let (x, weight, bias, input) = (inside(x), inside(weight), inside(bias), inside(input))
        let (scale, shift) = (inside(scale), inside(shift))
        run { $0.layerNorm(x, epsilon: epsilon, weight: weight, bias: bias, scale: scale, shift: shift, into: input) }
    }

    package func rmsNorm(_ x: Tensor, epsilon: Float, weight: Parameter, into out: Tensor) {
        let (x, weight, out) = (inside(x), inside(weight), inside(out))
        run { $0.rmsNorm(x, epsilon: epsilon, weight: weight, into: out) }
    }

    package func normAndRotate(_ x: Tensor, epsilon: Float, weight: Parameter, heads: Int, by table: RotaryTable) {
        let table = RotaryTable(table, cosines: inside(table.cosines), sines: inside(table.sines))
        let (x, weight) = (inside(x), inside(weight))
        run { $0.normAndRotate(x, epsilon: epsilon, weight: weight, heads: heads, by: table) }
    }

    package func pack(keys: Tensor, into packed: any PackedKeysValues) {
        let (own, rows) = (packed as! DeviceKeysValues, inside(keys))
        own.keys = keys.shape[0]
        let target = own.inside
        run { $0.pack(keys: rows, into: target) }
    }

    package func pack(values: Tensor, into packed: any PackedKeysValues) {
        let (target, rows) = ((packed as! DeviceKeysValues).inside, inside(values))
        run { $0.pack(values: rows, into: target) }
    }

    package func attend(queries: Tensor, to packed: any PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor) {
        let (source, queries, out) = ((packed as! DeviceKeysValues).inside, inside(queries), inside(out))
        let (keyBias, bias) = (inside(keyBias), inside(bias))
        run { $0.attend(queries: queries, to: source, scale: scale, keyBias: keyBias, bias: bias, into: out) }
    }

    package func add(_ a: Tensor, _ b: Tensor, into out: Tensor) {
        let (a, b, out) = (inside(a), inside(b), inside(out))
        run { $0.add(a, b, into: out) }
    }

    package func silu(_ x: Tensor, into out: Tensor) {
        let (x, out) = (inside(x), inside(out))
        run { $0.silu(x, into: out) }
    }

    package func geluTanhMultiply(_ a: Tensor, _ b: Tensor, into out: Tensor) {
        let (a, b, out) = (inside(a), inside(b), inside(out))
        run { $0.geluTanhMultiply(a, b, into: out) }
    }

    package func softClamp(_ x: Tensor, into out: Tensor) {
        let (x, out) = (inside(x), inside(out))
        run { $0.softClamp(x, into: out) }
    }

    package func affine(_ x: Tensor, scale: Float, shift: Float, into out: Tensor) {
        let (x, out) = (inside(x), inside(out))
        run { $0.affine(x, scale: scale, shift: shift, into: out) }
    }

    package func guide(unconditional: Tensor, conditional: Tensor, scale: Float, into out: Tensor) {
        let (unconditional, conditional, out) = (inside(unconditional), inside(conditional), inside(out))
        run { $0.guide(unconditional: unconditional, conditional: conditional, scale: scale, into: out) }
    }

    package func eulerStep(sample: Tensor, velocity: Tensor, dt: Float, into out: Tensor) {
        let (sample, velocity, out) = (inside(sample), inside(velocity), inside(out))
        run { $0.eulerStep(sample: sample, velocity: velocity, dt: dt, into: out) }
    }

    package func patchify(_ latent: Tensor, _ layout: PatchLayout, into rows: Tensor) {
        let (latent, rows) = (inside(latent), inside(rows))
        run { $0.patchify(latent, layout, into: rows) }
    }

    package func unpatchify(_ rows: Tensor, _ layout: PatchLayout, into latent: Tensor) {
        let (rows, latent) = (inside(rows), inside(latent))
        run { $0.unpatchify(rows, layout, into: latent) }
    }

    package func denormalize(_ latent: Tensor, frame: Int, mean: Tensor, std: Tensor, into out: Tensor) {
        let (latent, mean, std, out) = (inside(latent), inside(mean), inside(std), inside(out))
        run { $0.denormalize(latent, frame: frame, mean: mean, std: std, into: out) }
    }

    package func normalize(_ image: Tensor, mean: Tensor, std: Tensor, into latent: Tensor, frame: Int) {
        let (image, mean, std, latent) = (inside(image), inside(mean), inside(std), inside(latent))
        run { $0.normalize(image, mean: mean, std: std, into: latent, frame: frame) }
    }

    package func shufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        let (x, out) = (inside(x), inside(out))
        run { $0.shufflePixels(x, r, into: out) }
    }

    package func unshufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        let (x, out) = (inside(x), inside(out))
        run { $0.unshufflePixels(x, r, into: out) }
    }
}
