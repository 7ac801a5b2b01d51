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
    /// Seconds with `share` of the rows on the CPU; nil where no share was quicker than the device alone.
    private(set) var shared: Double?
    /// 0 to 1.
    private(set) var share = 0.0

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
        device.cpuShare = 0
        self.device = try meter.secondsPerStep(size, on: device)
        // Both would be done at once; less where the rest of a step, which the device does alone, leaves the CPU too much.
        let even = self.device / (self.device + self.cpu)
        for part in [even, even / 2] where (Self.leastShare...1 - Self.leastShare).contains(part) {
            device.cpuShare = part
            let took = try meter.secondsPerStep(size, on: device)
            if took < seconds { (shared, share) = (took, part) }
        }
        device.cpuShare = share
    }

    /// "128×128, 17 frames: 0.21 s on the device, 0.15 s with 24 % of the rows on the CPU, 0.6 s on the CPU".
    var text: String {
        let both = shared.map { ", \(Self.text($0)) with \(Int((share * 100).rounded())) % of the rows on the CPU" } ?? ""
        return "\(size.width)×\(size.height), \(size.numFrames) frames: "
            + "\(Self.text(device)) on the device\(both), \(Self.text(cpu)) on the CPU"
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
            "cpu_share": .double(share),
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
        share = Swift.min(1, Swift.max(0, json["cpu_share"]?.double ?? 0))
    }
}
