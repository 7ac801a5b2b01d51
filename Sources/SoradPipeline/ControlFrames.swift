// Encodes what a model follows (VACE): the frames that are given, which of their pixels are new, and reference pictures.
//
// Given are a clip (a `source`, with a mask or without), or pictures of the beginning and the end; every other frame is grey and new. What
// is new and what stays are encoded one after the other, so that the memory is that of one encoder and a few frames.
import SoradAPI
import SoradMedia
import SoradModel
import SoradSystem
import SoradTensor

/// A frame of what is followed.
private struct ControlFrame {
    enum New { case all, none, some([Bool]) }

    /// [H, W, 3]; nil for a grey one.
    var pixels: [UInt8]?
    var new = New.all
}

extension ReferenceEncoder {
    /// - Parameter size: of the clip's latents, without those of reference pictures.
    func controlClip(_ given: ReferenceMedia, _ size: LatentSize) throws(SoradError) -> ControlClip {
        let frame = [Bool](repeating: true, count: request.width * request.height)
        let mask = ControlMask(size, side: model.configuration.spatialScale, frames: request.numFrames)
        let kept = try encoder()
        var index = 0
        var hasKept = false
        var hasNew = false
        try forEachControlFrame(given) { shown throws(SoradError) in
            switch shown.new {
            case .all: mask.set(frame, frame: index)
            case .none: break
            case .some(let isNew): mask.set(isNew, frame: index)
            }
            index += 1
            hasKept = append(shown, to: kept, isNew: false) || hasKept
            if case .none = shown.new { return }
            hasNew = shown.pixels != nil || hasNew
        }
        let keptLatents = kept.finish()
        var newLatents = keptLatents
        // Two halves without anything are the same grey.
        if hasKept || hasNew {
            let new = try encoder()
            try forEachControlFrame(given) { shown throws(SoradError) in _ = append(shown, to: new, isNew: true) }
            newLatents = new.finish()
        }
        var references: [Tensor] = []
        for (role, shown) in zip(ReferenceFile.references, given.references) {
            references.append(try latents([try fitted(role, shown)]))
        }
        return ControlClip(
            kept: keptLatents, new: newLatents, mask: mask, references: references, scale: Float(given.conditioningScale ?? 1))
    }

    private func encoder() throws(SoradError) -> LatentEncoder {
        try model.latentEncoder(numFrames: request.numFrames, width: request.width, height: request.height)
    }

    /// Appends one half of a frame, the rest of which is grey.
    /// - Returns: whether anything of it is not.
    private func append(_ frame: ControlFrame, to encoder: LatentEncoder, isNew: Bool) -> Bool {
        guard let pixels = frame.pixels else {
            encoder.appendGrey()
            return false
        }
        switch frame.new {
        case .all where isNew, .none where !isNew: encoder.append(pixels)
        case .all, .none:
            encoder.appendGrey()
            return false
        case .some(let new): encoder.append(pixels, isGrey: isNew ? new.map { !$0 } : new)
        }
        return true
    }

    /// Hands over every frame of the clip.
    private func forEachControlFrame(
        _ given: ReferenceMedia, _ body: (ControlFrame) throws(SoradError) -> Void
    ) throws(SoradError) {
        let count = request.numFrames
        guard let source = given.source else {
            let first: [UInt8]? = if given.hasFirstFrame { try picture(.firstFrame) } else { nil }
            let last: [UInt8]? = if given.hasLastFrame { try picture(.lastFrame) } else { nil }
            for index in 0..<count {
                try stop()
                let picture = index == 0 && first != nil ? first : index == count - 1 ? last : nil
                try body(ControlFrame(pixels: picture, new: picture == nil ? .all : .none))
            }
            return
        }
        let still: [Bool]? = if given.hasMask, !given.maskIsClip { whitePixels(try picture(.mask)) } else { nil }
        if let still, !still.contains(true) { throw ReferenceEncoder.noWhite }
        let moving: FrameReader? =
            if given.maskIsClip {
                try FrameReader(
                    "\(directory)/\(ReferenceFile.mask.rawValue)", width: request.width, height: request.height, count: count,
                    fps: request.fps, program: ffmpeg, shouldStop: shouldStop)
            } else { nil }
        try forEachFrame(.source, source, count) { pixels throws(SoradError) in
            try stop()
            var frame = ControlFrame(pixels: pixels)
            if let moving {
                guard let mask = try moving.next() else { throw tooFew(count) }
                frame.new = .some(whitePixels(mask))
            } else if let still {
                frame.new = .some(still)
            }
            try body(frame)
        }
    }

    /// A picture as large as it can be within a white frame, as references were in training (VACE, vace_processor).
    private func fitted(_ role: ReferenceFile, _ shown: PictureSize) throws(SoradError) -> [UInt8] {
        let (width, height) = (request.width, request.height)
        // The sides by the one that fills the frame: no product of them is a fraction.
        let isWide = shown.width * height >= shown.height * width
        let w = isWide ? width : max(1, shown.width * height / shown.height)
        let h = isWide ? max(1, shown.height * width / shown.width) : height
        let reader = try FrameReader(
            "\(directory)/\(role.rawValue)", width: w, height: h, count: 1, fps: request.fps, program: ffmpeg, shouldStop: shouldStop)
        guard let picture = try reader.next() else { throw tooFew(1) }
        var frame = [UInt8](repeating: 255, count: width * height * 3)
        let (left, top) = ((width - w) / 2, (height - h) / 2)
        for row in 0..<h {
            let (from, to) = (row * w * 3, ((top + row) * width + left) * 3)
            for i in 0..<w * 3 { frame[to + i] = picture[from + i] }
        }
        return frame
    }
}
