// The sizes that a model makes, as the daemon and the worker check them.
public import SoradSystem

extension ModelInfo {
    public var nativeSize: String { "\(defaultWidth)x\(defaultHeight)" }

    public var sizes: ClipSizes {
        ClipSizes(
            model: id, native: (defaultWidth, defaultHeight), sizeMultiple: sizeMultiple, maxWidth: maxWidth, maxHeight: maxHeight,
            frameMultiple: frameMultiple, maxNumFrames: maxNumFrames, maxPixels: maxPixels,
            windowFrames: windowFrames, declared: declaredSizes)
    }
}
