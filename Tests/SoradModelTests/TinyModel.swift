// The fixture `tiny` with another autoencoder in its place.
import Glibc
import SoradConverter
import SoradModelFile
import SoradSystem

/// Converts `tiny` with the folder `vae` (config.json and weights) as its autoencoder.
/// - Parameters:
///   - int8Decoder: whether the decoder's inner convolutions become int8; all else is float without it.
///   - cascade: the folder of maps between two sizes.
///   - change: a text of the configuration and what stands there instead.
func tinyModelFile(
    vae: String, int8Decoder: Bool = false, enhancers: String? = nil, cascade: String? = nil,
    changing change: (old: String, new: String)? = nil
) throws -> ModelFile {
    let folder = try temporaryFolder()
    let parts = ["model_index.json", "sorad.json", "scheduler", "text_encoder", "tokenizer", "transformer"]
    let model = folder + "/model.gguf"
    var made = [model]
    defer {
        for path in made.reversed() { unsafe _ = Glibc.remove(path) }
        unsafe rmdir(folder)
    }
    for part in parts {
        unsafe symlink(Fixture.folder + "/tiny/" + part, folder + "/" + part)
        made.append(folder + "/" + part)
    }
    if let cascade {
        unsafe symlink(cascade, folder + "/cascade")
        made.append(folder + "/cascade")
    }
    unsafe mkdir(folder + "/vae", 0o700)
    made.append(folder + "/vae")
    let weights = "/diffusion_pytorch_model.safetensors"
    unsafe symlink(vae + weights, folder + "/vae" + weights)
    made.append(folder + "/vae" + weights)
    var config = String(decoding: try MappedFile(vae + "/config.json").bytes.array, as: UTF8.self)
    if let change {
        let pieces = config.split(separator: change.old, maxSplits: 1, omittingEmptySubsequences: false)
        guard pieces.count == 2 else { throw SoradError(.notFound, "no \(change.old) in the configuration of \(vae)") }
        config = String(pieces[0]) + change.new + String(pieces[1])
    }
    let descriptor = try FileDescriptor(opening: folder + "/vae/config.json", flags: O_WRONLY | O_CREAT | O_TRUNC)
    try descriptor.write(Array(config.utf8))
    made.append(folder + "/vae/config.json")
    var options = ConversionOptions()
    options.created = 0
    options.float = !int8Decoder
    options.int8Decoder = int8Decoder
    options.enhancers = enhancers
    _ = try Converter.convert(folder, to: model, options: options)
    return try ModelFile(opening: model)
}
