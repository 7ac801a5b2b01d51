// The converter's half of the tiny family: which checkpoints are its own, and their tensors.
import SoradConverter
import SoradModelFile
import SoradSystem

struct TinyCheckpoint: CheckpointFamily {
    let architecture = "sorad-tiny"
    let transformerClasses = ["TinyTransformer"]
    let defaults = CardDefaults(
        width: 64, height: 32, frames: 9, framesPerSecond: 8, steps: 3, textLength: 16, guidanceScale: 2)

    func checkPipeline(_ index: ConfigFile) throws(SoradError) { try index.require("_class_name", oneOf: ["TinyPipeline"]) }

    func network(_ config: ConfigFile, lowNoise: ConfigFile?, index: ConfigFile, own: ConfigFile?) throws(SoradError) -> any NetworkLayout {
        try TinyLayout(config)
    }
}

struct TinyLayout: NetworkLayout {
    let textWidth, channels: Int

    var inChannels: Int { channels }
    var outChannels: Int { channels }

    init(_ config: ConfigFile) throws(SoradError) {
        textWidth = try config.integer("text_width", in: 1...65536)
        channels = try config.integer("channels", in: 1...1024)
    }

    var metadata: [(key: String, value: MetadataValue)] {
        [("dit.channels", .uint32(UInt32(channels))), ("dit.text_width", .uint32(UInt32(textWidth)))]
    }

    var tensors: [TensorRule] {
        [
            TensorRule("mix.weight", as: "dit.mix.weight", [channels, channels], .floatLinear),
            TensorRule("gate.weight", as: "dit.gate.weight", [channels, textWidth], .floatLinear),
        ]
    }
}
