// How unevenly the numbers are spread that meet in a layer. int8 has one step for a row of weights and one for a token, so the largest number
// decides how finely all others are told apart: a high kurtosis and single large inputs foretell the layer's error.
import SoradSystem

/// Of the weights of a layer, or of its inputs.
public struct LayerSpread: Sendable, Equatable {
    /// Fourth moment about the mean by the square of the variance: 3 for normal numbers, more with outliers.
    public let kurtosis: Double
    /// The largest magnitude, in root mean squares.
    public let peak: Double
    /// Inputs whose root mean square is more than `outlierRatio` times the median's.
    public let outliers: Int

    /// Where published models have outlier channels, these are 10 to 1000 times the others.
    static let outlierRatio = 6.0

    /// - Parameter values: rows of `width` inputs.
    init(_ values: [Float], width: Int) {
        precondition(width > 0 && !values.isEmpty && values.count % width == 0, "\(values.count) values in rows of \(width)")
        let count = Double(values.count)
        var (sum, squares, largest) = (0.0, [Double](repeating: 0, count: width), Float(0))
        var column = 0
        for value in values {
            sum += Double(value)
            squares[column] += Double(value) * Double(value)
            largest = max(largest, value.magnitude)
            column = column + 1 == width ? 0 : column + 1
        }
        let mean = sum / count
        var (second, fourth) = (0.0, 0.0)
        for value in values {
            let square = (Double(value) - mean) * (Double(value) - mean)
            second += square
            fourth += square * square
        }
        kurtosis = second > 0 ? fourth * count / (second * second) : 0
        let all = squares.reduce(0, +)
        peak = all > 0 ? Double(largest) / (all / count).squareRoot() : 0
        let limit = squares.sorted()[width / 2] * Self.outlierRatio * Self.outlierRatio
        outliers = squares.count { $0 > limit }
    }

    /// What `json` gave; nil for anything else.
    init?(json: JSONValue) {
        guard let kurtosis = json["kurtosis"]?.double, let peak = json["peak"]?.double,
            let outliers = json["outlier_inputs"]?.wholeNumber
        else { return nil }
        (self.kurtosis, self.peak, self.outliers) = (kurtosis, peak, outliers)
    }

    var json: JSONValue { ["kurtosis": .double(kurtosis), "peak": .double(peak), "outlier_inputs": .integer(outliers)] }
}
