// Owns how the rows of a product are divided between the CPU and the device: one share for all products, or one for each kind of product,
// found from what both sides were measured to take. The share changes no bit.
import SoradCPU
import SoradSystem
package import SoradTensor

/// The products of linear layers with these sizes.
public struct ProductKind: Sendable, Hashable {
    public let outputs, inputs: Int
    public let isInt8: Bool

    public init(outputs: Int, inputs: Int, isInt8: Bool) { (self.outputs, self.inputs, self.isInt8) = (outputs, inputs, isInt8) }

    init(_ weights: LinearWeights) {
        let isInt8 = if case .int8 = weights.precision { true } else { false }
        self.init(outputs: weights.outputs, inputs: weights.inputs, isInt8: isInt8)
    }
}

/// Shares of rows that the CPU computes, 0 to 1.
public struct ProductShares: Sendable, Equatable {
    /// Of products that have no share of their own.
    public var common: Double
    public var own: [ProductKind: Double]

    public init(_ common: Double = 0, own: [ProductKind: Double] = [:]) { (self.common, self.own) = (common, own) }

    /// The last rows of a product, which the CPU computes.
    package func rowsOnCPU(_ rows: Int, _ weights: LinearWeights) -> Range<Int> {
        // Most products share alike, and have no name to look up.
        let share = own.isEmpty ? common : own[ProductKind(weights)] ?? common
        return rows - Int((Double(rows) * share).rounded())..<rows
    }
}

/// What products took on either side, one after the other.
struct ProductTimes {
    private struct Pair {
        let rows: Int
        var device, cpu: Double
    }

    private var pairs: [ProductKind: Pair] = [:]

    /// Keeps the shortest time of the product with the most rows: the first of a kind compiles and fills caches.
    mutating func add(_ weights: LinearWeights, rows: Int, device: Double, cpu: Double) {
        let kind = ProductKind(weights)
        guard let old = pairs[kind], old.rows >= rows else {
            pairs[kind] = Pair(rows: rows, device: device, cpu: cpu)
            return
        }
        if old.rows == rows { pairs[kind] = Pair(rows: rows, device: min(old.device, device), cpu: min(old.cpu, cpu)) }
    }

    /// Shares with which both sides of each product are done at once.
    var shares: [ProductKind: Double] {
        pairs.mapValues { $0.device + $0.cpu > 0 ? $0.device / ($0.device + $0.cpu) : 0 }
    }
}

extension VulkanBackend {
    /// Measures each product that `body` computes on the device and on the CPU, whole and one after the other.
    /// - Returns: the share of each kind with which both would be done at once.
    public func measureProducts<E: Error>(_ body: () throws(E) -> Void) throws(E) -> [ProductKind: Double] {
        productTimes = ProductTimes()
        defer { productTimes = nil }
        try body()
        return productTimes?.shares ?? [:]
    }

    /// Seconds until the device has done what `body` gives it, and nothing else.
    func seconds(_ body: () -> Void) -> Double {
        device.settle()
        let began = MonotonicTime.now()
        body()
        device.settle()
        return (MonotonicTime.now() - began).inSeconds
    }
}
