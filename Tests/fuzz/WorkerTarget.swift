// The worker protocol, both ways: frames on the socketpair, and the messages in them. An input is read as a stream of frames and, once more,
// as the text of one message, so that the fuzzer need not guess lengths.
import SoradAPI
import SoradSystem

private let limit = 600

func checkWorker(_ bytes: [UInt8]) -> String? {
    let whole = ParsedFrames([bytes[...]])
    return first(
        { whole.complaint(bytes) },
        { ParsedFrames(pieces(of: bytes)) == whole ? nil : "the frames depend on how the bytes were cut" },
        {
            for frame in whole.frames { if let complaint = messageComplaint(frame) { return complaint } }
            return messageComplaint(bytes)
        })
}

private struct ParsedFrames: Equatable {
    var frames: [[UInt8]] = []
    var failure: FrameChannel.Failure?
    var endsInsideFrame = false

    init(_ pieces: [ArraySlice<UInt8>]) {
        var decoder = FrameDecoder(limit: limit)
        do throws(FrameChannel.Failure) {
            for piece in pieces {
                decoder.append(piece)
                while let frame = try decoder.next() { frames.append(frame) }
            }
            endsInsideFrame = !decoder.isEmpty
        } catch { failure = error }
    }

    func complaint(_ bytes: [UInt8]) -> String? {
        guard frames.allSatisfy({ (1...limit).contains($0.count) }) else { return "a frame has a length outside the limit" }
        let again = frames.flatMap { FrameDecoder.encode($0) }
        guard bytes.starts(with: again) else { return "the frames written again are not what was read" }
        guard failure != nil || endsInsideFrame == (again.count < bytes.count) else { return "bytes were lost between frames" }
        return nil
    }
}

/// A message that is taken comes back the same.
private func messageComplaint(_ bytes: [UInt8]) -> String? {
    guard let json = try? JSONValue(parsing: bytes) else { return nil }
    return first(
        { comesBack(json, WorkerCommand.self) }, { comesBack(json, WorkerEvent.self) }, { comesBack(json, MediaFacts.self) },
        {
            guard case .generate(_, let request, _, _, _)? = try? WorkerCommand(json: json) else { return nil }
            return requestComplaint(request)
        })
}

private func comesBack<Message: JSONRepresentable & Equatable>(_ json: JSONValue, _: Message.Type) -> String? {
    guard let message = try? Message(json: json) else { return nil }
    guard let text = try? JSONValue(parsing: message.json.bytes()), let again = try? Message(json: text), again == message else {
        return "the \(Message.self) written again is read as something else"
    }
    return nil
}

/// The numbers that follow from a request which the worker has let through its check of the ranges.
private func requestComplaint(_ request: ClipPlan) -> String? {
    guard ClipPlan.numInferenceStepsRange.contains(request.numInferenceSteps), (1...100_000).contains(request.numFrames) else {
        return nil
    }
    guard (0..<request.numInferenceSteps).contains(request.firstStep),
        (request.firstStep..<request.numInferenceSteps).contains(request.wholeFirstStep),
        [0, request.numInferenceSteps - request.firstStep].contains(request.baseSteps),
        request.stepsPerWindow == request.baseSteps + request.numInferenceSteps - request.wholeFirstStep,
        request.stepsToRun >= request.stepsPerWindow,
        request.clipFrames >= 0, request.newFrames.upperBound <= max(request.numFrames, request.newFrames.lowerBound)
    else { return "the numbers of \(request) do not fit together" }
    return nil
}
