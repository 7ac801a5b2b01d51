// A second family of models, in one folder, as a real one would be added: its configuration, its network and its conditioning. It looks
// at each latent pixel alone: velocity = gate(prompt) · (mix · latent), the gate being a linear layer of the prompt's last embedding.
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

struct TinyFamily: ModelFamily {
    let architecture = "sorad-tiny"

    func configuration(_ data: Metadata) throws(SoradError) -> any NetworkConfiguration { try TinyConfiguration(data) }
}

struct TinyConfiguration: NetworkConfiguration {
    let textWidth, latentChannels: Int

    var textEncoder: String { "umt5" }
    var autoencoder: String { "taehv" }
    var sampler: String { "flow_match_euler" }
    var patch: (frames: Int, height: Int, width: Int) { (1, 1, 1) }
    var maxPositions: Int { 64 }
    var conditioning: ConditioningForm { .frames }

    init(_ data: Metadata) throws(SoradError) {
        textWidth = try data.integer("dit.text_width", in: 1...65536)
        latentChannels = try data.integer("dit.channels", in: 1...1024)
    }

    func network(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any DiffusionNetwork {
        try TinyNetwork(self, weights, backend)
    }
}

final class TinyNetwork: DiffusionNetwork {
    let configuration: TinyConfiguration
    let backend: any ComputeBackend
    /// [C, C] and [C, text width]
    let mix, gate: LinearWeights

    init(_ c: TinyConfiguration, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        configuration = c
        self.backend = backend
        mix = try weights.linear("mix", outputs: c.latentChannels, inputs: c.latentChannels, bias: false)
        gate = try weights.linear("gate", outputs: c.latentChannels, inputs: c.textWidth, bias: false)
    }

    func run(_ size: LatentSize, prompts: [Tensor], textLength: Int, given: Conditioning, stop: StopCheck) throws(SoradError)
        -> any DenoisingRun
    {
        TinyRun(self, size, prompts, given.frames)
    }

    func runBytes(_ size: LatentSize, prompts: Int, textLength: Int, pictureTokens: Int) -> Int {
        backend.measure { TinyRun.Workspace(configuration, size, prompts: prompts, in: $0) }
    }
}

final class TinyRun: DenoisingRun {
    struct Workspace {
        let pixels, text: any ActivationMatrix
        /// [pixels, C], and a gate [1, 1, C] per prompt.
        let mixed: Tensor
        let gates: [Tensor]

        init(_ c: TinyConfiguration, _ size: LatentSize, prompts: Int, in arena: Arena) {
            let count = size.frames * size.height * size.width
            pixels = arena.activations(capacity: count, width: c.latentChannels)
            text = arena.activations(capacity: 1, width: c.textWidth)
            mixed = arena.tensor(Shape(count, c.latentChannels))
            gates = (0..<prompts).map { _ in arena.tensor(Shape(1, 1, c.latentChannels)) }
        }
    }

    private let network: TinyNetwork
    private let layout: PatchLayout
    private let workspace: Workspace
    private let known: (indices: [Int], latents: Tensor)?

    init(_ network: TinyNetwork, _ size: LatentSize, _ prompts: [Tensor], _ known: ConditioningFrames?) {
        let (backend, c) = (network.backend, network.configuration)
        let w = backend.make { Workspace(c, size, prompts: prompts.count, in: $0) }
        for (prompt, gate) in zip(prompts, w.gates) {
            let last = prompt.shape[0] - 1
            backend.copy(backend.resident(prompt).rows(last..<last + 1), into: w.text.overwrite(rows: 1))
            backend.linear(w.text, network.gate, into: gate.reshaped(Shape(1, c.latentChannels)))
        }
        self.network = network
        workspace = w
        layout = PatchLayout(
            channels: c.latentChannels, patch: c.patch, grid: TokenGrid(frames: size.frames, height: size.height, width: size.width))
        self.known = known.map { ($0.indices, backend.resident($0.latents)) }
    }

    func condition(_ latent: Tensor) {
        guard let known else { return }
        for (place, frame) in known.indices.enumerated() {
            network.backend.copy(known.latents.frame(place), into: latent.frame(frame))
        }
    }

    func predict<Failure: Error>(
        _ latent: Tensor, timestep: Float, into velocities: [Tensor], stop: () throws(Failure) -> Void
    ) throws(Failure) {
        let (backend, w) = (network.backend, workspace)
        try stop()
        backend.patchify(latent, layout, into: w.pixels.overwrite(rows: layout.grid.count))
        for (gate, velocity) in zip(w.gates, velocities) {
            backend.linear(
                w.pixels, network.mix, activation: .none, gate: RowModulation(gate, 0, ModulationGroups(all: layout.grid.count)),
                residual: nil,
                into: w.mixed)
            backend.unpatchify(w.mixed, layout, into: velocity)
        }
    }
}
