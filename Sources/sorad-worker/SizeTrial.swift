// What was measured for one size of clips: a denoise step on the CPU, on a device, and with the rows of each product shared by both.
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor
import SoradVulkan

struct SizeTrial: Sendable, Equatable {
    let size: StepMeter.Size
    /// Seconds of a step.
    let cpu, device: Double
    /// Seconds with `shares` of the rows on the CPU; nil where none were quicker than the device alone.
    private(set) var shared: Double?
    private(set) var shares = ProductShares()

    /// Steps that would take longer are not measured: a worker waits for this.
    private static let longestStep = 20.0
    /// A smaller share of either side is not worth its transfers.
    private static let leastShare = 0.02

    var seconds: Double { min(device, shared ?? device) }
    var isFasterOnDevice: Bool { seconds < cpu }

    /// Measures sizes from small to large, the smallest in any case.
    static func measure(_ model: String, on device: VulkanBackend, threads: Int?) throws(SoradError) -> [SizeTrial] {
        let cpu = try BackendFactory.cpu(threads: threads).make()
        let meter = try StepMeter(modelPath: model, text: cpu)
        var trials: [SizeTrial] = []
        for size in meter.sizes {
            if let last = trials.last {
                // Attention grows with the square.
                let growth = Double(size.volume) / Double(last.size.volume)
                if max(last.cpu, last.device) * growth * growth > longestStep { break }
            }
            trials.append(try SizeTrial(size, meter, cpu, device))
        }
        return trials
    }

    private init(_ size: StepMeter.Size, _ meter: StepMeter, _ cpu: any ComputeBackend, _ device: VulkanBackend) throws(SoradError) {
        self.size = size
        self.cpu = try meter.secondsPerStep(size, on: cpu)
        device.shares = ProductShares()
        self.device = try meter.secondsPerStep(size, on: device)
        // Both would be done at once; less where the rest of a step, which the device does alone, leaves the CPU too much.
        let even = self.device / (self.device + self.cpu)
        let isWorthIt = { (part: Double) in (Self.leastShare...1 - Self.leastShare).contains(part) }
        var candidates = [even, even / 2].filter(isWorthIt).map { ProductShares($0) }
        if !candidates.isEmpty {
            let own = try device.measureProducts { () throws(SoradError) in _ = try meter.secondsPerStep(size, on: device) }
            candidates.append(ProductShares(own: own.filter { isWorthIt($0.value) }))
        }
        for candidate in candidates {
            device.shares = candidate
            let took = try meter.secondsPerStep(size, on: device)
            if took < seconds { (shared, shares) = (took, candidate) }
        }
        device.shares = shares
    }

    /// "128×128, 17 frames: 0.21 s on the device, 0.15 s with 24 % of the rows on the CPU, 0.6 s on the CPU".
    var text: String {
        let both = shared.map { ", \(Self.text($0)) with \(Self.text(shares)) of the rows on the CPU" } ?? ""
        return "\(size.width)×\(size.height), \(size.numFrames) frames: "
            + "\(Self.text(device)) on the device\(both), \(Self.text(cpu)) on the CPU"
    }

    /// "24 %", or "3 to 40 %" where each kind of product has its own share.
    private static func text(_ shares: ProductShares) -> String {
        let parts = shares.own.isEmpty ? [shares.common] : Array(shares.own.values)
        let (least, most) = (Int(((parts.min() ?? 0) * 100).rounded()), Int(((parts.max() ?? 0) * 100).rounded()))
        return least == most ? "\(least) %" : "\(least) to \(most) %"
    }

    private static func text(_ seconds: Double) -> String { "\((seconds * 1000).rounded() / 1000) s" }
}

extension [SizeTrial] {
    /// That of the size nearest to a clip's.
    func nearest(to plan: ClipPlan) -> SizeTrial? {
        let volume = Double(plan.width * plan.height * plan.numFrames)
        func distance(_ trial: SizeTrial) -> Double {
            let own = Double(trial.size.volume)
            return Swift.max(own / volume, volume / own)
        }
        return self.min { distance($0) < distance($1) }
    }
}

extension SizeTrial: JSONRepresentable {
    var json: JSONValue {
        [
            "width": .integer(size.width), "height": .integer(size.height), "num_frames": .integer(size.numFrames),
            "cpu_seconds": .double(cpu), "device_seconds": .double(device), "shared_seconds": shared.map { .double($0) } ?? .null,
            "cpu_share": .double(shares.common),
            "product_shares": .array(
                shares.own.map { kind, share in
                    [
                        "outputs": .integer(kind.outputs), "inputs": .integer(kind.inputs), "int8": .bool(kind.isInt8),
                        "cpu_share": .double(share),
                    ]
                }),
        ]
    }

    init(json: JSONValue) throws(JSONError) {
        guard let width = json["width"]?.integer, let height = json["height"]?.integer, let frames = json["num_frames"]?.integer,
            let cpu = json["cpu_seconds"]?.double, let device = json["device_seconds"]?.double,
            (1...1 << 20).contains(width), (1...1 << 20).contains(height), (1...1 << 20).contains(frames), cpu > 0, device > 0
        else { throw JSONError("no measured size") }
        size = StepMeter.Size(width: width, height: height, numFrames: frames)
        (self.cpu, self.device) = (cpu, device)
        shared = json["shared_seconds"]?.double
        shares = ProductShares(Self.share(json))
        for product in json["product_shares"]?.array ?? [] {
            guard let outputs = product["outputs"]?.integer, let inputs = product["inputs"]?.integer, let isInt8 = product["int8"]?.bool
            else { throw JSONError("a product's share without the product") }
            shares.own[ProductKind(outputs: outputs, inputs: inputs, isInt8: isInt8)] = Self.share(product)
        }
    }

    private static func share(_ json: JSONValue) -> Double { Swift.min(1, Swift.max(0, json["cpu_share"]?.double ?? 0)) }
}
