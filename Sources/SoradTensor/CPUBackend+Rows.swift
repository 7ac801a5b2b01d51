// Norms, rotary embedding and attention on the CPU. `unsafe` here: kernels take addresses; shapes are checked first.
internal import CSoradKernels

extension CPUBackend {
    public func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowVectors?, shift: RowVectors?, into out: Tensor
    ) {
        precondition((scale == nil) == (shift == nil) && scale?.groups == shift?.groups, "scale and shift go together")
        var arguments = unsafe normArguments(x, epsilon, weight, bias, out)
        guard let scale, let shift else {
            unsafe normalize(arguments, 0..<x.shape[0], layer: true)
            return
        }
        precondition(
            scale.groups.rowCount == x.shape[0] && scale.table.shape[2] == x.shape[1] && shift.table.shape[2] == x.shape[1],
            "modulation of \(x.shape)")
        for run in scale.groups.runs {
            unsafe arguments.scale = UnsafePointer(scale.vector(group: run.group).pointer())
            unsafe arguments.shift = UnsafePointer(shift.vector(group: run.group).pointer())
            unsafe normalize(arguments, run.rows, layer: true)
        }
    }

    public func rmsNorm(_ x: Tensor, epsilon: Float, weight: Parameter, into out: Tensor) {
        unsafe normalize(normArguments(x, epsilon, weight, nil, out), 0..<x.shape[0], layer: false)
    }

    @unsafe private func normArguments(_ x: Tensor, _ epsilon: Float, _ weight: Parameter?, _ bias: Parameter?, _ out: Tensor)
        -> sorad_norm_args
    {
        let k = x.shape[1]
        precondition(x.shape.rank == 2 && out.shape == x.shape, "norm of \(x.shape) into \(out.shape)")
        precondition((weight == nil || weight!.count == k) && (bias == nil || bias!.count == k), "norm weights of \(x.shape)")
        var arguments = unsafe sorad_norm_args()
        unsafe (arguments.x, arguments.x_stride) = (UnsafePointer(x.pointer()), k)
        unsafe (arguments.out, arguments.out_stride) = (out.pointer(), k)
        unsafe (arguments.k, arguments.eps) = (k, epsilon)
        unsafe arguments.weight = weight?.pointer(Float.self)
        unsafe arguments.bias = bias?.pointer(Float.self)
        return unsafe arguments
    }

    @unsafe private func normalize(_ arguments: sorad_norm_args, _ rows: Range<Int>, layer: Bool) {
        let kernels = kernels
        let kernel = unsafe layer ? kernels.layer_norm : kernels.rms_norm
        split(rows.count, step: share(rows.count), cost: unsafe rows.count * arguments.k * 10) { range, _ in
            var piece = unsafe arguments
            unsafe (piece.row_begin, piece.row_end) = (rows.lowerBound + range.lowerBound, rows.lowerBound + range.upperBound)
            unsafe kernel(&piece)
        }
    }

    public func rotate(_ x: Tensor, heads: Int, by table: RotaryTable) {
        let rows = x.shape[0]
        let headWidth = x.shape[1] / heads
        precondition(
            rows == table.tokens && headWidth * heads == x.shape[1] && table.cosines.shape[1] * 2 == headWidth,
            "rotation of \(x.shape), \(heads) heads")
        let arguments = unsafe sorad_rope_args(
            x: x.pointer(), x_stride: x.shape[1], cos: table.cosines.pointer(), sin: table.sines.pointer(),
            heads: heads, head_dim: headWidth, row_begin: 0, row_end: rows)
        let kernels = kernels
        split(rows, step: share(rows), cost: x.count * 5) { range, _ in
            var piece = unsafe arguments
            unsafe (piece.row_begin, piece.row_end) = (range.lowerBound, range.upperBound)
            unsafe kernels.rope(&piece)
        }
    }

    public func pack(keys: Tensor, values: Tensor, into packed: PackedKeysValues) {
        let count = keys.shape[0]
        let width = packed.heads * packed.headWidth
        precondition(
            keys.shape == Shape(count, width) && values.shape == keys.shape && (1...packed.capacity).contains(count),
            "keys \(keys.shape), values \(values.shape)")
        packed.keys = count
        let arguments = unsafe sorad_attention_pack_args(
            k: keys.pointer(), k_stride: width, v: values.pointer(), v_stride: width, lk: count, head_dim: packed.headWidth,
            packed: packed.room.pointer(), head_begin: 0, head_end: packed.heads, key_begin: 0, key_end: count)
        let kernels = kernels
        let kernel = unsafe packed.precision == .int8 ? kernels.attention_int8_pack : kernels.attention_pack
        split(packed.heads, step: 1, cost: count * width * 4) { range, _ in
            var piece = unsafe arguments
            unsafe (piece.head_begin, piece.head_end) = (range.lowerBound, range.upperBound)
            unsafe kernel(&piece)
        }
    }

    public func attend(queries: Tensor, to packed: PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor) {
        let rows = queries.shape[0]
        let heads = packed.heads
        let keys = packed.keys
        let width = heads * packed.headWidth
        precondition(
            queries.shape == Shape(rows, width) && out.shape == queries.shape && keys > 0, "queries \(queries.shape), \(keys) keys")
        precondition(bias == nil || packed.precision == .float, "a bias per query with int8 attention")
        precondition(keyBias == nil || keyBias!.count == keys, "key bias of \(keys) keys")
        precondition(bias == nil || bias!.shape == Shape(heads, rows, keys), "bias of \(heads) heads, \(rows) queries, \(keys) keys")
        var arguments = unsafe sorad_attention_args()
        unsafe (arguments.q, arguments.q_stride) = (UnsafePointer(queries.pointer()), width)
        unsafe arguments.packed = UnsafePointer(packed.room.pointer())
        unsafe (arguments.lk, arguments.head_dim, arguments.scale) = (keys, packed.headWidth, scale)
        unsafe arguments.key_bias = keyBias.map { unsafe UnsafePointer($0.pointer()) }
        unsafe arguments.bias = bias.map { unsafe UnsafePointer($0.pointer()) }
        unsafe (arguments.bias_head_stride, arguments.bias_query_stride) = (rows * keys, keys)
        unsafe (arguments.out, arguments.out_stride) = (out.pointer(), width)
        let kernels = kernels
        let kernel = unsafe packed.precision == .int8 ? kernels.attention_int8 : kernels.attention
        let template = unsafe arguments
        let step = min(rows, Self.queryBlock)
        let blocks = (rows + step - 1) / step
        split(heads * blocks, step: 1, cost: rows * keys * width * 2) { range, _ in
            for index in range {
                var piece = unsafe template
                let head = index / blocks
                let first = index % blocks * step
                unsafe (piece.head_begin, piece.head_end) = (head, head + 1)
                unsafe (piece.query_begin, piece.query_end) = (first, min(first + step, rows))
                unsafe kernel(&piece)
            }
        }
    }

    /// A multiple of every kernel's tile of queries.
    private static let queryBlock = 96
}
