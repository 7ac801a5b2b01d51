// Random numbers from a seed, the same on every machine, and a measure of error.
package import SoradSystem
package import SoradTensor

extension SplitMix64 {
    package mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    /// Between −1 and 1.
    package mutating func float() -> Float { Float(Int64(bitPattern: next()) >> 40) / Float(1 << 23) }

    package mutating func tensor(_ shape: Shape) -> Tensor { Tensor(shape, (0..<shape.count).map { _ in float() }) }

    /// About standard normal.
    package mutating func normal() -> Float { (0..<12).reduce(Float(-6)) { sum, _ in sum + Float(next() >> 40) * 0x1p-24 } }
    package mutating func normals(_ count: Int) -> [Float] { (0..<count).map { _ in normal() } }
}

/// ‖a − b‖ / ‖b‖
package func relativeError(_ a: [Float], _ b: [Float]) -> Double {
    precondition(a.count == b.count, "\(a.count) and \(b.count) elements")
    let lost = zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    return (lost / b.reduce(0.0) { $0 + Double($1) * Double($1) }).squareRoot()
}
