// Linear layers on the CPU: quantize what needs it, cut the work into tiles, call the kernels.
// `unsafe` here: kernels take addresses in argument structures; shapes are checked at the head of each operation.
internal import CSoradKernels
@_spi(HostMemory) public import SoradTensor

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
        _ input: any ActivationMatrix, _ weights: LinearWeights, activation: Activation, gate: RowModulation?, residual: Tensor?,
        into out: Tensor
    ) {
        let input = own(input)
        let rows = input.values.shape[0]
        OperationChecks.linear(input, weights, gate: gate, residual: residual, into: out)
        var epilogue = unsafe sorad_epilogue()
        unsafe epilogue.activation = activation.kernelValue
        if let residual {
            unsafe epilogue.residual = UnsafePointer(residual.pointer())
            unsafe epilogue.residual_stride = weights.outputs
        }
        if case .int8 = weights.precision {
            quantize(input, for: weights)
        } else if let norm = input.pendingNorm {
            normalize(norm, into: input.values)
            input.normIsTaken()
        }
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
        _ input: CPUActivationMatrix, _ weights: LinearWeights, _ epilogue: sorad_epilogue, _ rows: Range<Int>, _ out: Tensor
    ) {
        let bias = unsafe weights.bias?.pointer(Float.self)
        // The weights of few rows take as long to read as those rows take to multiply.
        let cost = max(rows.count, Self.rowsPerReading) * weights.outputs * weights.inputs
        switch weights.precision {
        case .int8(let values, let scale, let sum):
            let arguments = unsafe sorad_gemm_qd8_args(
                a: input.packed.pointer(), rows: input.values.shape[0], a_scale: input.scale.pointer(),
                a_zero: weights.asymmetricInput ? input.zero.pointer().assumingMemoryBound(to: Int32.self) : nil,
                w: values.pointer(Int8.self), w_scale: scale.pointer(Float.self), w_sum: sum.pointer(Int32.self), bias: bias,
                k: weights.inputs,
                out: out.pointer(), out_stride: weights.outputs, row_begin: rows.lowerBound, row_end: rows.upperBound,
                col_begin: 0, col_end: weights.outputs, epilogue: epilogue, scratch: nil)
            let kernels = kernels
            let all = input.values.shape[0]
            let isWaiting = weights.outputs * weights.inputs <= Self.mostWeights && waits(rows: all, width: weights.inputs)
            let plan = Tiling(
                rows, weights.outputs, unit: kernels.gemm_qd8_mr(), threads: isWaiting ? pool.activeCount : threads(cost / 2))
            var largest = unsafe arguments
            unsafe largest.row_end = rows.lowerBound + min(rows.count, max(plan.rowStep, Self.waitingRows))
            unsafe reserveScratch(kernels.gemm_qd8_scratch_bytes(&largest))
            let scratch = unsafe scratchStarts
            if isWaiting {
                let (outputs, columnStep) = (weights.outputs, plan.columnStep)
                let columns = (outputs + columnStep - 1) / columnStep
                let multiply = unsafe kernels.gemm_qd8_f32_qc8w
                wait(
                    RowOperation(rows: all, step: Self.waitingRows, columns: columns) {
                        { part, column, thread in
                            let part = part.clamped(to: rows)
                            guard !part.isEmpty else { return }
                            var task = unsafe arguments
                            unsafe (task.row_begin, task.row_end) = (part.lowerBound, part.upperBound)
                            unsafe task.col_begin = column * columnStep
                            unsafe task.col_end = min(task.col_begin + columnStep, outputs)
                            unsafe task.scratch = scratch[thread]
                            unsafe multiply(&task)
                        }
                    })
                return
            }
            tiles(plan) { tile, thread in
                var task = unsafe arguments
                unsafe (task.row_begin, task.row_end) = (tile.rows.lowerBound, tile.rows.upperBound)
                unsafe (task.col_begin, task.col_end) = (tile.columns.lowerBound, tile.columns.upperBound)
                unsafe task.scratch = scratch[thread]
                unsafe kernels.gemm_qd8_f32_qc8w(&task)
            }
        case .int10(let high, let low, let scale):
            var panels = unsafe sorad_dequantize_args()
            unsafe (panels.high, panels.low) = (high.pointer(Int8.self), low.pointer(UInt32.self))
            unsafe (panels.scale, panels.k) = (scale.pointer(UInt16.self), weights.inputs)
            unsafe multiply(input, weights, panels, epilogue, rows, out)
        case .float(let values):
            let arguments = unsafe sorad_gemm_f32_args(
                a: input.values.pointer(), a_stride: input.width, w: values.pointer(Float.self), bias: bias, k: weights.inputs,
                out: out.pointer(), out_stride: weights.outputs, row_begin: rows.lowerBound, row_end: rows.upperBound,
                col_begin: 0, col_end: weights.outputs, epilogue: epilogue)
            let kernels = kernels
            tiles(Tiling(rows, weights.outputs, unit: 12, threads: threads(cost))) { tile, _ in
                var task = unsafe arguments
                unsafe (task.row_begin, task.row_end) = (tile.rows.lowerBound, tile.rows.upperBound)
                unsafe (task.col_begin, task.col_end) = (tile.columns.lowerBound, tile.columns.upperBound)
                unsafe kernels.gemm_f32(&task)
            }
        }
    }

    /// The product with weights of 10 bits: every task makes floats of the panels that it multiplies by, in its thread's scratch, once for all
    /// rows, unless there are too few panels for the threads.
    @unsafe private func multiply(
        _ input: CPUActivationMatrix, _ weights: LinearWeights, _ dequantization: sorad_dequantize_args, _ epilogue: sorad_epilogue,
        _ rows: Range<Int>, _ out: Tensor
    ) {
        let (n, k) = (weights.outputs, weights.inputs)
        let panels = (n + 15) / 16
        // As many panels as the second-level cache holds, and rows enough that making their floats costs little.
        let columnStep = 16 * max(1, min(Self.int10PanelFloats / (16 * k), panels / (2 * pool.activeCount)))
        let rowStep = min(rows.count, Self.int10Rows)
        let columns = (n + columnStep - 1) / columnStep
        let taskRows = columns >= Self.int10TasksPerThread * pool.activeCount ? rows.count : rowStep
        let bands = (rows.count + max(1, taskRows) - 1) / max(1, taskRows)
        reserveScratch(columnStep * k * 4)
        let kernels = kernels
        let scratch = unsafe scratchStarts
        let bias = unsafe weights.bias?.pointer(Float.self)
        let template = unsafe dequantization
        var whole = unsafe sorad_gemm_f32_args()
        unsafe (whole.a, whole.a_stride, whole.k) = (UnsafePointer(input.values.pointer()), input.width, k)
        unsafe (whole.out, whole.out_stride, whole.epilogue) = (out.pointer(), n, epilogue)
        let base = unsafe whole
        split(columns * bands, step: 1, cost: rows.count * n * k) { range, thread in
            for index in range {
                let column = index / bands * columnStep
                let width = min(columnStep, n - column)
                var panel = unsafe template
                unsafe panel.out = scratch[thread].assumingMemoryBound(to: Float.self)
                unsafe (panel.panel_begin, panel.panel_end) = (column / 16, (column + width + 15) / 16)
                unsafe kernels.dequantize_qb10w_f32(&panel)
                // Columns count from that of the panel.
                var task = unsafe base
                unsafe (task.w, task.out) = (UnsafePointer(panel.out), base.out + column)
                unsafe task.bias = bias.map { unsafe $0 + column }
                unsafe task.epilogue.residual = epilogue.residual.map { unsafe $0 + column }
                unsafe task.epilogue.gate = epilogue.gate.map { unsafe $0 + column }
                unsafe task.col_end = width
                let first = rows.lowerBound + index % bands * taskRows
                for row in stride(from: first, to: min(first + taskRows, rows.upperBound), by: max(1, rowStep)) {
                    unsafe (task.row_begin, task.row_end) = (row, min(row + rowStep, rows.upperBound))
                    unsafe kernels.gemm_f32(&task)
                }
            }
        }
    }

    /// Of the panels of a task, 512 KiB.
    private static let int10PanelFloats = 128 << 10
    /// Rows that are multiplied at once: a multiple of every kernel's tile.
    private static let int10Rows = 96
    /// With fewer the threads would wait for each other.
    private static let int10TasksPerThread = 8

    private static let rowsPerReading = 4

    /// Rows of a task of a product that waits: a multiple of every kernel's tile.
    private static let waitingRows = 96

    private func threads(_ cost: Int) -> Int { cost >= Self.parallelCost ? pool.activeCount : 1 }

    /// How a product is cut into tasks: wide enough to make the reading of rows worth while, tall enough for the weights', and about two
    /// dozen for each thread, so that one that is held up does not keep the others waiting; as balanced as possible. Each thread begins with
    /// a band of rows of its own, which it has quantized and whose results it will read.
    private struct Tiling {
        let rows, columns: Range<Int>
        let columnStep, rowStep: Int
        /// Tasks of a band from top to bottom.
        let down, bands: Int
        let isParallel: Bool
        /// The rows from row 0 on are counted in units; these are in the bands.
        private let unit: Int
        private let units: Range<Int>

        init(_ rows: Range<Int>, _ columns: Int, unit: Int, threads: Int) {
            func steps(_ count: Int, _ step: Int) -> Int { (count + step - 1) / step }
            self.rows = rows
            self.columns = 0..<columns
            self.unit = unit
            isParallel = threads > 1
            units = rows.lowerBound / unit..<steps(rows.upperBound, unit)
            bands = isParallel && units.count >= 2 * threads ? threads : 1
            let wantedAcross = bands > 1 ? 2 : 2 * threads
            columnStep = isParallel ? min(256, max(32, steps(steps(columns, 32), wantedAcross) * 32)) : columns
            let across = steps(columns, columnStep)
            let height = steps(units.count, bands)
            let most = steps(height * unit, 96)
            let wanted = isParallel ? max(steps(height * unit, 768), min(steps(24 * threads / bands, across), most)) : 1
            // Of about that number the most balanced ones, of those the smallest.
            let options = isParallel ? max(1, wanted - 1)...max(wanted, min(wanted + 2, most)) : 1...1
            func imbalance(_ down: Int) -> Int { down * steps(height, down) - height }
            let chosen = options.reversed().min { imbalance($0) < imbalance($1) }!
            rowStep = max(1, steps(height, chosen)) * unit
            down = steps(height * unit, rowStep)
        }

        var count: Int { bands * down * ((columns.count + columnStep - 1) / max(columnStep, 1)) }

        /// Down a band's column first: its weights are then still near. The last task of a lower band may have no rows.
        subscript(index: Int) -> (rows: Range<Int>, columns: Range<Int>) {
            let ofBand = count / bands
            let (band, task) = (index / ofBand, index % ofBand)
            func edge(_ band: Int) -> Int { (units.lowerBound + units.count * band / bands) * unit }
            let row = edge(band) + task % down * rowStep
            let column = task / down * columnStep
            let inBand = row..<max(row, min(row + rowStep, edge(band + 1)))
            return (inBand.clamped(to: rows), column..<min(column + columnStep, columns.upperBound))
        }
    }

    private func tiles(_ tiling: Tiling, _ body: @escaping ((rows: Range<Int>, columns: Range<Int>), Int) -> Void) {
        func task(_ index: Int, _ thread: Int) {
            let tile = tiling[index]
            if !tile.rows.isEmpty { body(tile, thread) }
        }
        runWaiting()
        if tiling.isParallel {
            pool.run(tiling.count, task)
        } else {
            for index in 0..<tiling.count { task(index, 0) }
        }
    }

    /// Makes the int8 form that `weights` expect, unless the input already has it. Norm and rotation are taken on the way.
    private func quantize(_ input: CPUActivationMatrix, for weights: LinearWeights) {
        let form = CPUActivationMatrix.Form(rotation: weights.rotation, asymmetric: weights.asymmetricInput)
        guard input.form != form else { return }
        input.form = form
        let rows = input.values.shape[0]
        let k = input.width
        let template = unsafe sorad_quantize_rows_args(
            x: nil, x_stride: k, k: k, q: input.packed.pointer(), rows: rows, scale: input.scale.pointer(),
            zero: input.zero.pointer().assumingMemoryBound(to: Int32.self), row_begin: 0, row_end: 0, asymmetric: weights.asymmetricInput)
        let kernels = kernels
        let unit = kernels.gemm_qd8_mr()
        let norm = unsafe input.pendingNorm.map { unsafe arguments(of: $0) }
        let rotation = weights.rotation
        // Few rows at a time, so that they are still in the first-level cache when they are rotated and when they are packed.
        let isChanged = unsafe norm != nil || rotation != nil
        let step = isChanged ? min(unit, 4) : unit
        if isChanged { reserveScratch(step * k * 4) }
        let values = unsafe input.values.pointer()
        let scratch = unsafe scratchStarts
        func pack(_ range: Range<Int>, _ thread: Int) {
            for first in stride(from: range.lowerBound, to: range.upperBound, by: step) {
                let part = first..<min(first + step, range.upperBound)
                var x = unsafe values + first * k
                if isChanged {
                    let buffer = unsafe scratch[thread].assumingMemoryBound(to: Float.self)
                    if let norm = unsafe norm {
                        unsafe self.normalize(norm, part, buffer)
                        unsafe x = buffer
                    }
                    if let rotation {
                        var rotate = unsafe sorad_hadamard_args(
                            x: UnsafePointer(x), x_stride: k, out: buffer, out_stride: k, k: k, group: rotation, row_begin: 0,
                            row_end: part.count)
                        unsafe kernels.hadamard_f32(&rotate)
                        unsafe x = buffer
                    }
                }
                var task = unsafe template
                unsafe task.x = UnsafePointer(x)
                unsafe (task.row_begin, task.row_end) = (part.lowerBound, part.upperBound)
                unsafe kernels.quantize_f32_qd8(&task)
            }
        }
        if waits(rows: rows, width: k) {
            wait(RowOperation(rows: rows, step: 2 * rowGranularity, columns: 1) { { range, _, thread in pack(range, thread) } })
        } else {
            split(rows, step: grain(rows, unit: unit, perThread: 12), cost: rows * k * 10, pack)
        }
    }
}
