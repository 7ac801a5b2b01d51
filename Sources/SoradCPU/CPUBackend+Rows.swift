// Norms, rotary embedding and attention on the CPU. `unsafe` here: kernels take addresses; shapes are checked first.
internal import CSoradKernels
@_spi(HostMemory) public import SoradTensor

extension CPUBackend {
    public func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowModulation?, shift: RowModulation?,
        into input: any ActivationMatrix
    ) {
        OperationChecks.layerNorm(x, weight: weight, bias: bias, scale: scale, shift: shift, into: input)
        own(input).overwrite(
            with: LayerNorm(x: x, epsilon: epsilon, weight: weight, bias: bias, scale: scale, shift: shift))
    }

    func normalize(_ norm: LayerNorm, into out: Tensor) {
        let (rows, k) = (norm.x.shape[0], norm.x.shape[1])
        let runs = unsafe arguments(of: norm)
        let target = unsafe out.pointer()
        split(rows, step: grain(rows), cost: out.count * 10) { range, _ in
            unsafe self.normalize(runs, range, target + range.lowerBound * k)
        }
    }

    /// Neighboring rows of a layer norm that have the same scale and shift; `x` is that of row 0.
    typealias NormRun = (rows: Range<Int>, arguments: sorad_norm_args)

    /// The kernel's arguments for every run of rows, made once: a product asks for a few rows of the norm at a time.
    @unsafe func arguments(of norm: LayerNorm) -> [NormRun] {
        let k = norm.x.shape[1]
        var all = unsafe sorad_norm_args()
        unsafe (all.x, all.x_stride, all.out_stride, all.k, all.eps) = (UnsafePointer(norm.x.pointer()), k, k, k, norm.epsilon)
        unsafe (all.weight, all.bias) = (norm.weight?.pointer(Float.self), norm.bias?.pointer(Float.self))
        guard let scale = norm.scale, let shift = norm.shift else { return unsafe [(0..<norm.x.shape[0], all)] }
        return unsafe scale.groups.runs.map { run in
            var arguments = unsafe all
            unsafe arguments.scale = UnsafePointer(scale.vector(group: run.group).pointer())
            unsafe arguments.shift = UnsafePointer(shift.vector(group: run.group).pointer())
            return unsafe (run.rows, arguments)
        }
    }

    /// Some rows of the norm, to [rows.count, K] at `out`.
    @unsafe func normalize(_ runs: [NormRun], _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>) {
        for index in unsafe runs.indices {
            let run = unsafe runs[index]
            let part = unsafe run.rows.clamped(to: rows)
            guard !part.isEmpty else { continue }
            var arguments = unsafe run.arguments
            unsafe arguments.x += part.lowerBound * arguments.k
            unsafe arguments.out = out + (part.lowerBound - rows.lowerBound) * arguments.k
            unsafe arguments.row_end = part.count
            unsafe kernels.layer_norm_f32(&arguments)
        }
    }

    public func rmsNorm(_ x: Tensor, epsilon: Float, weight: Parameter, into out: Tensor) {
        OperationChecks.rmsNorm(x, weight: weight, into: out)
        let arguments = unsafe normArguments(x, epsilon, weight, out)
        let kernels = kernels
        eachRow(x, weight: 10) { range in
            var task = unsafe arguments
            unsafe (task.row_begin, task.row_end) = (range.lowerBound, range.upperBound)
            unsafe kernels.rms_norm_f32(&task)
        }
    }

    /// Some rows at a time, now or with other operations on them.
    /// - Parameter weight: cost of a value.
    private func eachRow(_ x: Tensor, weight: Int, _ body: @escaping (Range<Int>) -> Void) {
        let rows = x.shape[0]
        if waits(rows: rows, width: x.shape[1]) {
            wait(RowOperation(rows: rows, step: 2 * rowGranularity, columns: 1) { { range, _, _ in body(range) } })
        } else {
            split(rows, step: grain(rows, perThread: 12), cost: x.count * weight) { range, _ in body(range) }
        }
    }

    public func normAndRotate(_ x: Tensor, epsilon: Float, weight: Parameter, heads: Int, by table: RotaryTable) {
        OperationChecks.normAndRotate(x, weight: weight, heads: heads, by: table)
        let headWidth = x.shape[1] / heads
        let arguments = unsafe normArguments(x, epsilon, weight, x)
        let (start, width, tokens) = unsafe (x.pointer(), x.shape[1], table.tokens)
        let template = unsafe sorad_rope_args(
            x: nil, x_stride: width, cos: table.cosines.pointer(), sin: table.sines.pointer(),
            heads: heads, head_dim: headWidth, row_begin: 0, row_end: 0)
        let kernels = kernels
        eachRow(x, weight: 15) { range in
            // Few rows at a time, so that the second kernel finds them in the first-level cache.
            var norm = unsafe arguments
            var rope = unsafe template
            for first in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
                let part = first..<min(first + 4, range.upperBound)
                unsafe (norm.row_begin, norm.row_end) = (part.lowerBound, part.upperBound)
                unsafe kernels.rms_norm_f32(&norm)
                for row in part {
                    let position = row % tokens
                    unsafe rope.x = start + (row - position) * width
                    unsafe (rope.row_begin, rope.row_end) = (position, position + 1)
                    unsafe kernels.rope_f32(&rope)
                }
            }
        }
    }

    @unsafe private func normArguments(_ x: Tensor, _ epsilon: Float, _ weight: Parameter, _ out: Tensor) -> sorad_norm_args {
        let k = x.shape[1]
        var arguments = unsafe sorad_norm_args()
        unsafe (arguments.x, arguments.x_stride) = (UnsafePointer(x.pointer()), k)
        unsafe (arguments.out, arguments.out_stride) = (out.pointer(), k)
        unsafe (arguments.k, arguments.eps, arguments.weight) = (k, epsilon, weight.pointer(Float.self))
        return unsafe arguments
    }

    public func pack(keys: Tensor, into packed: any PackedKeysValues) { pack(keys: keys, into: [packed]) }
    public func pack(values: Tensor, into packed: any PackedKeysValues) { pack(values: values, into: [packed]) }

    public func pack(keys: Tensor, into packed: [any PackedKeysValues]) {
        let own = packed.map(own)
        for (index, one) in own.enumerated() {
            let part = keys.sequence(index, of: own.count)
            OperationChecks.pack(keys: part, into: one)
            one.keys = part.shape[0]
        }
        unsafe pack(own, weight: 10) { unsafe $0.k = UnsafePointer(keys.sequence($1, of: own.count).pointer()) }
    }

    public func pack(values: Tensor, into packed: [any PackedKeysValues]) {
        let own = packed.map(own)
        for (index, one) in own.enumerated() { OperationChecks.pack(values: values.sequence(index, of: own.count), into: one) }
        unsafe pack(own, weight: 5) { unsafe $0.v = UnsafePointer(values.sequence($1, of: own.count).pointer()) }
    }

    /// Packs keys or values of sequences of equal length.
    /// - Parameters:
    ///   - weight: cost of a value.
    ///   - set: the address of what is packed for one of the sequences.
    @unsafe private func pack(_ packed: [CPUKeysValues], weight: Int, _ set: (inout sorad_attention_pack_args, _ sequence: Int) -> Void) {
        let first = packed[0]
        let width = first.heads * first.headWidth
        let all = unsafe packed.indices.map { index in
            var arguments = unsafe sorad_attention_pack_args()
            unsafe (arguments.k_stride, arguments.v_stride) = (width, width)
            unsafe (arguments.lk, arguments.key_end, arguments.head_dim) = (packed[index].keys, packed[index].keys, first.headWidth)
            unsafe arguments.packed = packed[index].packed.pointer()
            unsafe set(&arguments, index)
            return unsafe arguments
        }
        let kernels = kernels
        let kernel = unsafe first.precision == .float ? kernels.attention_pack_f32 : kernels.attention_pack_qd8kv
        split(packed.count * first.heads, step: 1, cost: packed.count * first.keys * width * weight) { range, _ in
            for index in range {
                var task = unsafe all[index / first.heads]
                unsafe task.head_begin = index % first.heads
                unsafe task.head_end = task.head_begin + 1
                unsafe kernel(&task)
            }
        }
    }

    public func attend(queries: Tensor, to packed: any PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor) {
        OperationChecks.attend(queries: queries, to: own(packed), keyBias: keyBias, bias: bias, into: out)
        unsafe attend(arguments(queries, own(packed), scale, keyBias, bias, out), queries.shape[0], own(packed))
    }

    public func attend(queries: Tensor, to packed: [any PackedKeysValues], scale: Float, keyBiases: [Tensor?], into out: Tensor) {
        let own = packed.map(own)
        let (count, rows, width) = (own.count, queries.shape[0], queries.shape[1])
        let all = unsafe own.indices.map { index in
            let (part, result) = (queries.sequence(index, of: count), out.sequence(index, of: count))
            OperationChecks.attend(queries: part, to: own[index], keyBias: keyBiases[index], bias: nil, into: result)
            return unsafe arguments(part, own[index], scale, keyBiases[index], nil, result)
        }
        let length = rows / count
        guard waits(rows: rows, width: width) else {
            for index in own.indices { unsafe attend(all[index], length, own[index]) }
            return
        }
        let kernels = kernels
        let kernel = unsafe own[0].precision == .float ? kernels.attention_f32 : kernels.attention_f32_qd8kv
        wait(
            RowOperation(rows: rows, step: Self.queryBlock, columns: own[0].heads) {
                { range, head, _ in
                    for sequence in range.lowerBound / length...(range.upperBound - 1) / length {
                        var task = unsafe all[sequence]
                        unsafe (task.head_begin, task.head_end) = (head, head + 1)
                        unsafe task.query_begin = max(0, range.lowerBound - sequence * length)
                        unsafe task.query_end = min(length, range.upperBound - sequence * length)
                        unsafe kernel(&task)
                    }
                }
            })
    }

    @unsafe private func arguments(
        _ queries: Tensor, _ packed: CPUKeysValues, _ scale: Float, _ keyBias: Tensor?, _ bias: Tensor?, _ out: Tensor
    ) -> sorad_attention_args {
        let (rows, keys, width) = (queries.shape[0], packed.keys, packed.heads * packed.headWidth)
        var arguments = unsafe sorad_attention_args()
        unsafe (arguments.q, arguments.q_stride) = (UnsafePointer(queries.pointer()), width)
        unsafe arguments.packed = UnsafePointer(packed.packed.pointer())
        unsafe (arguments.lk, arguments.head_dim, arguments.scale) = (keys, packed.headWidth, scale)
        unsafe arguments.key_bias = keyBias.map { unsafe UnsafePointer($0.pointer()) }
        unsafe arguments.bias = bias.map { unsafe UnsafePointer($0.pointer()) }
        unsafe (arguments.bias_head_stride, arguments.bias_query_stride) = (rows * keys, keys)
        unsafe (arguments.out, arguments.out_stride) = (out.pointer(), width)
        unsafe arguments.probs_16bit = packed.precision == .int8Probs16
        return unsafe arguments
    }

    /// The queries of one sequence, at once.
    @unsafe private func attend(_ arguments: sorad_attention_args, _ rows: Int, _ packed: CPUKeysValues) {
        let heads = packed.heads
        let kernels = kernels
        let kernel = unsafe packed.precision == .float ? kernels.attention_f32 : kernels.attention_f32_qd8kv
        let template = unsafe arguments
        let block = rows > Self.queryBlock * pool.activeCount ? Self.queryBlock : Self.queryBlock / 2
        let step = min(rows, block)
        let blocks = (rows + step - 1) / step
        // Each thread begins with queries that it has made, one head after the other: its keys and values are then still near.
        let bands = min(blocks, pool.activeCount)
        split(heads * blocks, step: 1, cost: rows * packed.keys * heads * packed.headWidth * 2) { range, _ in
            for index in range {
                var task = unsafe template
                let band = ((index / heads + 1) * bands - 1) / blocks
                let inBand = band * blocks / bands..<(band + 1) * blocks / bands
                let head = (index - heads * inBand.lowerBound) / inBand.count
                let first = (inBand.lowerBound + (index - heads * inBand.lowerBound) % inBand.count) * step
                unsafe (task.head_begin, task.head_end) = (head, head + 1)
                unsafe (task.query_begin, task.query_end) = (first, min(first + step, rows))
                unsafe kernel(&task)
            }
        }
    }

    /// A multiple of every kernel's tile of queries.
    private static let queryBlock = 96
}
