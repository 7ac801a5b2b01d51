// Copies, and the ways between latents, tokens and pixels, on the CPU. `unsafe` here: kernels take addresses; shapes are checked first.
internal import CSoradKernels
@_spi(HostMemory) public import SoradTensor

extension CPUBackend {
    public func copy(_ source: Blocks, into target: Blocks) {
        runWaiting()
        OperationChecks.copy(source, into: target)
        let (from, to) = unsafe (source.tensor.pointer() + source.start, target.tensor.pointer() + target.start)
        for block in 0..<source.count {
            unsafe (to + block * target.stride).update(from: from + block * source.stride, count: source.length)
        }
    }

    public func fill(_ out: Tensor, with value: Float) {
        runWaiting()
        unsafe out.pointer().update(repeating: value, count: out.count)
    }

    public func affine(_ x: Tensor, scale: Float, shift: Float, into out: Tensor) {
        OperationChecks.elementwise(x, into: out)
        let (source, target) = unsafe (x.pointer(), out.pointer())
        for i in 0..<x.count { unsafe target[i] = source[i] * scale + shift }
    }

    public func patchify(_ latent: Tensor, _ layout: PatchLayout, into rows: Tensor) {
        OperationChecks.patches(latent, layout, rows)
        let (from, to) = unsafe (latent.pointer(), rows.pointer())
        let (volume, width) = (layout.volume, rows.shape[1])
        layout.forEach { source, token, channel, within in
            unsafe to[token * width + channel * volume + within] = from[source]
        }
    }

    public func unpatchify(_ rows: Tensor, _ layout: PatchLayout, into latent: Tensor) {
        OperationChecks.patches(latent, layout, rows)
        let (from, to) = unsafe (rows.pointer(), latent.pointer())
        let (channels, width) = (layout.channels, rows.shape[1])
        layout.forEach { target, token, channel, within in
            unsafe to[target] = from[token * width + within * channels + channel]
        }
    }

    public func denormalize(_ latent: Tensor, frame: Int, mean: Tensor, std: Tensor, into out: Tensor) {
        var arguments = unsafe latentArguments(latent, frame, mean, std, out, toPlanar: false)
        unsafe sorad_latent_denormalize(&arguments)
    }

    public func normalize(_ image: Tensor, mean: Tensor, std: Tensor, into latent: Tensor, frame: Int) {
        var arguments = unsafe latentArguments(latent, frame, mean, std, image, toPlanar: true)
        unsafe sorad_latent_normalize(&arguments)
    }

    @unsafe private func latentArguments(
        _ latents: Tensor, _ frame: Int, _ mean: Tensor, _ std: Tensor, _ image: Tensor, toPlanar: Bool
    ) -> sorad_latent_args {
        OperationChecks.frame(frame, of: latents, mean: mean, std: std, image: image)
        let (channels, frames) = (latents.shape[0], latents.shape[1])
        let pixels = latents.shape[2] * latents.shape[3]
        let plane = unsafe latents.pointer() + frame * pixels
        var arguments = unsafe sorad_latent_args()
        unsafe arguments.x = toPlanar ? UnsafePointer(image.pointer()) : UnsafePointer(plane)
        unsafe arguments.x_pixel_stride = toPlanar ? channels : 1
        unsafe arguments.x_channel_stride = toPlanar ? 1 : frames * pixels
        unsafe arguments.out = toPlanar ? plane : image.pointer()
        unsafe arguments.out_pixel_stride = toPlanar ? 1 : channels
        unsafe arguments.out_channel_stride = toPlanar ? frames * pixels : 1
        unsafe (arguments.pixels, arguments.channels) = (pixels, channels)
        unsafe (arguments.mean, arguments.std) = (UnsafePointer(mean.pointer()), UnsafePointer(std.pointer()))
        return unsafe arguments
    }

    public func shufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        OperationChecks.shuffle(wide: out, deep: x, r)
        unsafe sorad_pixel_shuffle(x.pointer(), x.shape[0], x.shape[1], out.shape[2], r, out.pointer())
    }

    public func unshufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        OperationChecks.shuffle(wide: x, deep: out, r)
        unsafe sorad_pixel_unshuffle(x.pointer(), out.shape[0], out.shape[1], x.shape[2], r, out.pointer())
    }
}
