// Linear layers on the CPU: quantise what needs it, cut the work into tiles, call the kernels.
// `unsafe` here: kernels take addresses in argument structures; shapes are checked at the head of each operation.
internal import CSoradKernels

extension Activation {
    var kernelValue: sorad_activation {
        switch self {
        case .none: SORAD_ACTIVATION_NONE
        case .relu: SORAD_ACTIVATION_RELU
        case .geluTanh: SORAD_ACTIVATION_GELU_TANH
        case .silu: SORAD_ACTIVATION_SILU
        }
    }
}

extension CPUBackend {
    public func linear(
        _ input: LinearInput, _ weights: LinearWeights, activation: Activation, gate: RowVectors?, residual: Tensor?, into out: Tensor
    ) {
        let rows = input.values.shape[0]
        precondition(
            input.width == weights.inputs && out.shape == Shape(rows, weights.outputs),
            "\(input.values.shape)·[\(weights.outputs), \(weights.inputs)]ᵀ into \(out.shape)")
        precondition(residual == nil || residual!.shape == out.shape, "residual of \(out.shape)")
        precondition(gate == nil || gate!.groups.rowCount == rows && gate!.table.shape[2] == weights.outputs, "gate of \(out.shape)")
        var epilogue = unsafe sorad_epilogue()
        unsafe epilogue.activation = activation.kernelValue
        if let residual {
            unsafe epilogue.residual = UnsafePointer(residual.pointer())
            unsafe epilogue.residual_stride = weights.outputs
        }
        if case .int8 = weights.precision { quantize(input, for: weights) }
        guard let gate else {
            unsafe multiply(input, weights, epilogue, 0..<rows, out)
            return
        }
        for run in gate.groups.runs {
            unsafe epilogue.gate = UnsafePointer(gate.vector(group: run.group).pointer())
            unsafe multiply(input, weights, epilogue, run.rows, out)
        }
    }

    /// The product for some rows, cut into tiles of rows and columns.
    @unsafe private func multiply(
        _ input: LinearInput, _ weights: LinearWeights, _ epilogue: sorad_epilogue, _ rows: Range<Int>, _ out: Tensor
    ) {
        let bias = unsafe weights.bias?.pointer(Float.self)
        let cost = rows.count * weights.outputs * weights.inputs
        switch weights.precision {
        case .int8(let codes, let scale, let sum):
            let arguments = unsafe sorad_gemm_int8_args(
                a: input.codes.pointer().assumingMemoryBound(to: Int8.self), a_stride: input.codeStride,
                a_scale: input.scale.pointer(),
                a_zero: weights.asymmetricInput ? input.zero.pointer().assumingMemoryBound(to: Int32.self) : nil,
                w: codes.pointer(Int8.self), w_scale: scale.pointer(Float.self), w_sum: sum.pointer(Int32.self), bias: bias,
                k: weights.inputs,
                out: out.pointer(), out_stride: weights.outputs, row_begin: rows.lowerBound, row_end: rows.upperBound,
                col_begin: 0, col_end: weights.outputs, epilogue: epilogue, scratch: nil)
            let kernels = kernels
            var largest = unsafe arguments
            unsafe largest.row_end = rows.lowerBound + min(rows.count, Self.tileRows)
            unsafe reserveScratch(kernels.gemm_int8_scratch_bytes(&largest))
            let scratch = scratch
            tiles(rows, weights.outputs, cost: cost / 2) { tile, thread in
                var piece = unsafe arguments
                unsafe (piece.row_begin, piece.row_end) = (tile.rows.lowerBound, tile.rows.upperBound)
                unsafe (piece.col_begin, piece.col_end) = (tile.columns.lowerBound, tile.columns.upperBound)
                unsafe piece.scratch = scratch[thread].pointer()
                unsafe kernels.gemm_int8(&piece)
            }
        case .float(let values):
            let arguments = unsafe sorad_gemm_f32_args(
                a: input.values.pointer(), a_stride: input.width, w: values.pointer(Float.self), bias: bias, k: weights.inputs,
                out: out.pointer(), out_stride: weights.outputs, row_begin: rows.lowerBound, row_end: rows.upperBound,
                col_begin: 0, col_end: weights.outputs, epilogue: epilogue)
            let kernels = kernels
            tiles(rows, weights.outputs, cost: cost) { tile, _ in
                var piece = unsafe arguments
                unsafe (piece.row_begin, piece.row_end) = (tile.rows.lowerBound, tile.rows.upperBound)
                unsafe (piece.col_begin, piece.col_end) = (tile.columns.lowerBound, tile.columns.upperBound)
                unsafe kernels.gemm_f32(&piece)
            }
        }
    }

    /// Rows of one tile: enough to make the reading of weights worth while, few enough to stay in the second-level cache.
    private static let tileRows = 192

    private func tiles(
        _ rows: Range<Int>, _ columns: Int, cost: Int, _ body: @escaping ((rows: Range<Int>, columns: Range<Int>), Int) -> Void
    ) {
        // Every tile packs its rows anew, for which fewer than 64 columns would not pay.
        let parallel = cost >= Self.parallelCost && pool.threadCount > 1
        let columnStep = parallel ? min(256, max(64, share(columns, unit: 16, perThread: 2))) : min(columns, 1024)
        let across = (columns + columnStep - 1) / columnStep
        let down = (rows.count + Self.tileRows - 1) / Self.tileRows
        let run: (Int, Int) -> Void = { index, thread in
            let row = rows.lowerBound + index / across * Self.tileRows
            let column = index % across * columnStep
            body((row..<min(row + Self.tileRows, rows.upperBound), column..<min(column + columnStep, columns)), thread)
        }
        if cost >= Self.parallelCost { pool.run(across * down, run) } else { for index in 0..<across * down { run(index, 0) } }
    }

    /// Makes the int8 form that `weights` expect, unless the input already has it.
    private func quantize(_ input: LinearInput, for weights: LinearWeights) {
        let form = LinearInput.Form(rotation: weights.rotation, asymmetric: weights.asymmetricInput)
        guard input.form != form else { return }
        input.form = form
        let rows = input.values.shape[0]
        let k = input.width
        let source = weights.rotation == nil ? input.values : input.rotated
        let rotation = unsafe sorad_hadamard_args(
            x: input.values.pointer(), x_stride: k, out: input.rotated.pointer(), out_stride: k, k: k, group: weights.rotation ?? 0,
            row_begin: 0, row_end: rows)
        let arguments = unsafe sorad_quantize_rows_args(
            x: source.pointer(), x_stride: k, k: k, q: input.codes.pointer().assumingMemoryBound(to: Int8.self), q_stride: input.codeStride,
            scale: input.scale.pointer(), zero: input.zero.pointer().assumingMemoryBound(to: Int32.self), row_begin: 0, row_end: rows,
            asymmetric: weights.asymmetricInput)
        let kernels = kernels
        let rotates = weights.rotation != nil
        split(rows, step: share(rows), cost: rows * k * 10) { range, _ in
            if rotates {
                var piece = unsafe rotation
                unsafe (piece.row_begin, piece.row_end) = (range.lowerBound, range.upperBound)
                unsafe kernels.hadamard(&piece)
            }
            var piece = unsafe arguments
            unsafe (piece.row_begin, piece.row_end) = (range.lowerBound, range.upperBound)
            unsafe kernels.quantize_rows(&piece)
        }
    }
}
