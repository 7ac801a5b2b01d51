// Owns the small exact computations that the host does for every backend, once per clip or step: positions, noise, timesteps, embedding
// rows, bytes of pictures. Their results reach a backend's memory as uploads, so every backend has the same bits.
// `unsafe` here: the portable C functions take addresses; sizes are checked before each call.
internal import CSoradKernels

/// cos and sin [positions, width / 2] of p·theta^(−2i/width).
func rotaryAngles(positions: Int, width: Int, theta: Double) -> (cosine: [Float], sine: [Float]) {
    var cosine = [Float](repeating: 0, count: positions * (width / 2))
    var sine = cosine
    unsafe sorad_rope_table(positions, width, theta, &cosine, &sine, width / 2)
    return (cosine, sine)
}

/// ln x for the logit of a key that stands for x equal ones.
public func naturalLogarithm(_ x: Double) -> Double {
    precondition(x.isNormal && x > 0, "ln \(x)")
    return sorad_log(x)
}

/// GELU as it is defined, x·Φ(x), for the few layers whose network does not have its tanh form.
func exactGELU(_ x: Float) -> Float {
    let tail = 0.5 * complementaryError(Double(abs(x)) * 0.5.squareRoot())
    return Float(Double(x) * (x < 0 ? tail : 1 - tail))
}

/// erfc z for z ≥ 0, relative error below 1.2e-7 (Press et al., "Numerical Recipes", the Chebyshev fit of erfcc).
private func complementaryError(_ z: Double) -> Double {
    // Below the smallest float from here on.
    guard z < 20 else { return 0 }
    let t = 1 / (1 + 0.5 * z)
    let coefficients = (
        -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277
    )
    var sum = coefficients.9
    sum = coefficients.8 + t * sum
    sum = coefficients.7 + t * sum
    sum = coefficients.6 + t * sum
    sum = coefficients.5 + t * sum
    sum = coefficients.4 + t * sum
    sum = coefficients.3 + t * sum
    sum = coefficients.2 + t * sum
    sum = coefficients.1 + t * sum
    return t * sorad_exp(coefficients.0 - z * z + t * sum)
}

extension Tensor {
    /// Every element x becomes x·Φ(x).
    public func applyGELU() {
        withMutableElements { span in for i in span.indices { span[i] = exactGELU(span[i]) } }
    }

    /// Every element x becomes x·σ(1.702·x), OpenAI's approximation of GELU.
    public func applyQuickGELU() {
        withMutableElements { span in
            for i in span.indices {
                let x = Double(span[i])
                span[i] = Float(x / (1 + sorad_exp(min(max(-1.702 * x, -700), 700))))
            }
        }
    }

    /// Standard normal values by Philox-4x32-10: element i depends on (seed, stream, i) only.
    public func fillNormal(seed: UInt64, stream: UInt64) {
        unsafe withHostElements(.overwrite) { unsafe sorad_philox_normal(seed, stream, 0, count, $0) }
    }

    /// Becomes the sinusoidal embeddings [timesteps.count, width] of timesteps in 0...num_train_timesteps (diffusers Timesteps,
    /// flip_sin_to_cos, no frequency shift): cosines, then sines.
    public func fillTimestepEmbedding(_ timesteps: [Float]) {
        precondition(shape.rank == 2 && shape[0] == timesteps.count, "\(timesteps.count) timesteps into \(shape)")
        unsafe withHostElements(.overwrite) { start in
            unsafe sorad_timestep_embedding(timesteps, timesteps.count, shape[1], start)
        }
    }

    /// Rows `indices` of an embedding table [rows, K] of f16, bf16 or f32 become the rows of this matrix [indices.count, K].
    public func setRows(_ indices: [Int], of table: Parameter) {
        let width = shape[1]
        precondition(shape.rank == 2 && shape[0] == indices.count, "\(indices.count) rows into \(shape)")
        precondition(indices.allSatisfy { $0 >= 0 && ($0 + 1) * width <= table.count }, "a row outside \(table.count / width)")
        unsafe withHostElements(.overwrite) { start in
            for (place, row) in indices.enumerated() {
                let target = unsafe start + place * width
                switch table.elementType {
                case .f32: unsafe target.update(from: table.pointer(Float.self) + row * width, count: width)
                case .f16: unsafe sorad_f16_to_f32(table.pointer(UInt16.self) + row * width, target, width)
                case .bf16: unsafe sorad_bf16_to_f32(table.pointer(UInt16.self) + row * width, target, width)
                case .i8, .i32: preconditionFailure("an embedding table of \(table.elementType)")
                }
            }
        }
    }

    /// Appends a picture in [0, 1] as bytes, rounded to nearest even.
    public func appendBytes(to bytes: inout [UInt8]) {
        let count = count
        let new = unsafe withHostElements(.read) { source in
            unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                unsafe sorad_rgb_to_u8(source, buffer.baseAddress!, count)
                initialized = count
            }
        }
        bytes.append(contentsOf: new)
    }

    /// Becomes the picture of these bytes, in [0, 1].
    public func set(from bytes: Span<UInt8>) {
        precondition(bytes.count == count, "\(bytes.count) bytes into \(shape)")
        unsafe withHostElements(.overwrite) { start in
            unsafe bytes.withUnsafeBufferPointer { unsafe sorad_u8_to_rgb($0.baseAddress!, start, count) }
        }
    }
}
