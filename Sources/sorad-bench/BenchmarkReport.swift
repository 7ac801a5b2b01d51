// What a benchmark found, as a table for people and as JSON for programs.

/// One measured row. Rates are in thousand millions of operations (a multiply and an add are two) per second.
struct BenchmarkRow {
    let name: String
    let shape: String
    let rate: Double
    /// The rate of the peak-throughput microbenchmark measured just before; nil where there is none.
    let peak: Double?
    /// Where both were measured in pairs, the median of their ratios.
    var pairs: Double?

    var ratio: Double? { pairs ?? peak.map { rate / $0 } }
}

struct BenchmarkReport {
    let isa: String
    var threads = 1
    var rows: [BenchmarkRow] = []

    var table: String {
        var lines = ["instruction set: \(isa), \(threads == 1 ? "one thread" : "\(threads) threads"), GOP/s (a multiply-add is 2)"]
        lines.append(line("kernel", "shape", "figure", "peak", "ratio"))
        for row in rows {
            let ratio = row.ratio.map { fixed($0 * 100, 1) + " %" } ?? "-"
            lines.append(line(row.name, row.shape, fixed(row.rate, 1), row.peak.map { fixed($0, 1) } ?? "-", ratio))
        }
        return lines.joined(separator: "\n")
    }

    /// Names and shapes are our own ASCII without quotes, so nothing needs escaping.
    var json: String {
        let items = rows.map { row in
            let peak = row.peak.map { fixed($0, 3) } ?? "null"
            let ratio = row.ratio.map { fixed($0, 4) } ?? "null"
            return """
                {"kernel": "\(row.name)", "shape": "\(row.shape)", "gops": \(fixed(row.rate, 3)), "peak_gops": \(peak), "ratio": \(ratio)}
                """
        }
        return "{\"isa\": \"\(isa)\", \"threads\": \(threads), \"rows\": [\n  " + items.joined(separator: ",\n  ") + "\n]}"
    }

    private func line(_ name: String, _ shape: String, _ figure: String, _ peak: String, _ ratio: String) -> String {
        padded(name, 16, left: true) + padded(shape, 40, left: true) + padded(figure, 9) + padded(peak, 9) + padded(ratio, 10)
    }

    private func padded(_ text: String, _ width: Int, left: Bool = false) -> String {
        let space = String(repeating: " ", count: max(1, width - text.count))
        return left ? text + space : space + text
    }
}

/// `value` >= 0 with `digits` decimals.
func fixed(_ value: Double, _ digits: Int) -> String {
    let scale = (0..<digits).reduce(1.0) { product, _ in product * 10 }
    let scaled = (value * scale).rounded()
    guard scaled.isFinite, scaled < 1e18 else { return "\(value)" }
    let whole = Int64(scaled)
    let unit = Int64(scale)
    guard digits > 0 else { return "\(whole)" }
    let fraction = String(whole % unit)
    return "\(whole / unit)." + String(repeating: "0", count: digits - fraction.count) + fraction
}
