// The option `--backend` of the benchmarks of whole passes and clips.
import SoradAPI
import SoradCPU
import SoradSystem
import SoradTensor
import SoradVulkan

/// The backend of that name, which computes with `threads` threads of `set` where it is the CPU's.
/// - Throws: `.usage` for another name than `cpu`, `vulkan` and `vulkan:NUMBER`; `.unavailable` without the device.
func makeBackend(_ name: String, threads: Int, _ set: InstructionSet) throws(SoradError) -> any ComputeBackend {
    switch BackendChoice(name) {
    case .cpu: return try BackendFactory.cpu(threads: threads, instructionSet: set).make()
    case .vulkan(let device):
        var options = VulkanOptions()
        (options.device, options.takesSamples) = (device, false)
        return try VulkanBackend(options)
    case .auto, nil: throw SoradError(.usage, "--backend must be cpu, vulkan or vulkan:NUMBER, not \"\(name)\"")
    }
}
