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
        split(x.shape[0], step: grain(x.shape[0], perThread: 12), cost: x.count * 10) { range, _ in
            var task = unsafe arguments
            unsafe (task.row_begin, task.row_end) = (range.lowerBound, range.upperBound)
            unsafe kernels.rms_norm_f32(&task)
        }
    }

    public func normAndRotate(_ x: Tensor, epsilon: Float, weight: Parameter, heads: Int, by table: RotaryTable) {
        OperationChecks.normAndRotate(x, weight: weight, heads: heads, by: table)
        let rows = x.shape[0]
        let headWidth = x.shape[1] / heads
        let arguments = unsafe normArguments(x, epsilon, weight, x)
        let (start, width, tokens) = unsafe (x.pointer(), x.shape[1], table.tokens)
        let template = unsafe sorad_rope_args(
            x: nil, x_stride: width, cos: table.cosines.pointer(), sin: table.sines.pointer(),
            heads: heads, head_dim: headWidth, row_begin: 0, row_end: 0)
        let kernels = kernels
        split(rows, step: grain(rows, perThread: 12), cost: x.count * 15) { range, _ in
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

    public func pack(keys: Tensor, into packed: any PackedKeysValues) {
        OperationChecks.pack(keys: keys, into: packed)
        let packed = own(packed)
        packed.keys = keys.shape[0]
        var arguments = unsafe packArguments(packed)
        unsafe arguments.k = UnsafePointer(keys.pointer())
        unsafe pack(arguments, packed, weight: 10)
    }

    public func pack(values: Tensor, into packed: any PackedKeysValues) {
        OperationChecks.pack(values: values, into: packed)
        let packed = own(packed)
        var arguments = unsafe packArguments(packed)
        unsafe arguments.v = UnsafePointer(values.pointer())
        unsafe pack(arguments, packed, weight: 5)
    }

    @unsafe private func packArguments(_ packed: CPUKeysValues) -> sorad_attention_pack_args {
        let width = packed.heads * packed.headWidth
        return unsafe sorad_attention_pack_args(
            k: nil, k_stride: width, v: nil, v_stride: width, lk: packed.keys, head_dim: packed.headWidth,
            packed: packed.packed.pointer(), head_begin: 0, head_end: packed.heads, key_begin: 0, key_end: packed.keys)
    }

    /// - Parameter weight: cost of a value.
    @unsafe private func pack(_ arguments: sorad_attention_pack_args, _ packed: CPUKeysValues, weight: Int) {
        let template = unsafe arguments
        let kernels = kernels
        let kernel = unsafe packed.precision == .float ? kernels.attention_pack_f32 : kernels.attention_pack_qd8kv
        split(packed.heads, step: 1, cost: packed.keys * packed.heads * packed.headWidth * weight) { range, _ in
            var task = unsafe template
            unsafe (task.head_begin, task.head_end) = (range.lowerBound, range.upperBound)
            unsafe kernel(&task)
        }
    }

    public func attend(queries: Tensor, to packed: any PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor) {
        let packed = own(packed)
        let rows = queries.shape[0]
        let heads = packed.heads
        let keys = packed.keys
        let width = heads * packed.headWidth
        OperationChecks.attend(queries: queries, to: packed, keyBias: keyBias, bias: bias, into: out)
        var arguments = unsafe sorad_attention_args()
        unsafe (arguments.q, arguments.q_stride) = (UnsafePointer(queries.pointer()), width)
        unsafe arguments.packed = UnsafePointer(packed.packed.pointer())
        unsafe (arguments.lk, arguments.head_dim, arguments.scale) = (keys, packed.headWidth, scale)
        unsafe arguments.key_bias = keyBias.map { unsafe UnsafePointer($0.pointer()) }
        unsafe arguments.bias = bias.map { unsafe UnsafePointer($0.pointer()) }
        unsafe (arguments.bias_head_stride, arguments.bias_query_stride) = (rows * keys, keys)
        unsafe (arguments.out, arguments.out_stride) = (out.pointer(), width)
        unsafe arguments.probs_16bit = packed.precision == .int8Probs16
        let kernels = kernels
        let kernel = unsafe packed.precision == .float ? kernels.attention_f32 : kernels.attention_f32_qd8kv
        let template = unsafe arguments
        let block = rows > Self.queryBlock * pool.activeCount ? Self.queryBlock : Self.queryBlock / 2
        let step = min(rows, block)
        let blocks = (rows + step - 1) / step
        // Each thread begins with queries that it has made, one head after the other: its keys and values are then still near.
        let bands = min(blocks, pool.activeCount)
        split(heads * blocks, step: 1, cost: rows * keys * width * 2) { range, _ in
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
