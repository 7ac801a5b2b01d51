import SoradAPI
import SoradPipeline
import SoradSystem
import Testing

@Suite struct ProgressMeterTests {
    private let work = ClipWork(steps: 10, tokensPerStep: 100, frames: 5, pixelsPerFrame: 1000)
    private let start = MonotonicTime(nanoseconds: 1_000)

    /// One second of text, ten of denoising, five of decoding, four of writing.
    private var rates: ClipRates {
        var rates = ClipRates()
        rates[.encodingText] = 1
        rates[.denoising] = 0.01
        rates[.decoding] = 0.001
        rates[.writing] = 4
        return rates
    }

    @Test func eachPhaseWeighsWhatItCosts() {
        var meter = ProgressMeter(work, rates: rates, start: start)
        #expect(meter.reached(.encodingText, 0, of: 1, at: start).percent == 0)
        #expect(meter.reached(.denoising, 0, of: 10, at: start).percent == 5)
        #expect(meter.reached(.denoising, 5, of: 10, at: start).percent == 30)
        #expect(meter.reached(.decoding, 0, of: 5, at: start).percent == 55)
        #expect(meter.reached(.writing, 0, of: 1, at: start).percent == 80)
        #expect(meter.reached(.writing, 1, of: 1, at: start).percent == 99)
    }

    @Test func thePercentageNeverFallsAndStepsAreKept() {
        var meter = ProgressMeter(work, rates: rates, start: start)
        _ = meter.reached(.denoising, 5, of: 10, at: start)
        let back = meter.reached(.denoising, 4, of: 10, at: start)
        #expect(back.percent == 30)
        #expect(back.step == 4)
        #expect(meter.reached(.decoding, 1, of: 5, at: start).step == 10)
    }

    /// The same as `rates` say, but measured with clips like this one.
    private let expected = ["encoding_text": 1.0, "denoising": 10, "decoding": 5, "writing": 4]

    @Test func theRemainingTimeFollowsThePaceSoFar() throws {
        var meter = ProgressMeter(work, rates: ClipRates(), expected: expected, start: start)
        #expect(meter.reached(.encodingText, 0, of: 1, at: start).etaSeconds == 20)
        // Half of the twenty seconds of work took twenty seconds.
        let later = meter.reached(.denoising, 9, of: 10, at: start + .seconds(20))
        #expect(try abs(#require(later.etaSeconds) - 20) < 1e-9)
    }

    @Test func workOfAnEarlierLifeSaysNothingAboutThePace() throws {
        var meter = ProgressMeter(work, rates: rates, expected: expected, start: start)
        meter.skip(.denoising, 5, of: 10)
        // Six of the twenty seconds of work are done, five of them by another.
        let resumed = meter.reached(.denoising, 5, of: 10, at: start + .seconds(1))
        #expect(resumed.step == 5 && resumed.percent == 30)
        #expect(try abs(#require(resumed.etaSeconds) - 14) < 1e-9)
        // Four more seconds of work took ten, so the ten that are left take twenty.
        let later = meter.reached(.denoising, 9, of: 10, at: start + .seconds(10))
        #expect(try abs(#require(later.etaSeconds) - 20) < 1e-9)
    }

    @Test func whatWasMeasuredWeighsThePhases() {
        var meter = ProgressMeter(work, rates: ClipRates(), expected: expected, start: start)
        #expect(meter.reached(.denoising, 5, of: 10, at: start).percent == 30)
        #expect(meter.reached(.writing, 0, of: 1, at: start).percent == 80)
    }

    @Test func withoutMeasuredClipsNoTimeIsToldBeforeTwoStepsAreDone() throws {
        var meter = ProgressMeter(work, rates: rates, start: start)
        #expect(meter.reached(.encodingText, 0, of: 1, at: start).etaSeconds == nil)
        #expect(meter.reached(.denoising, 1, of: 10, at: start + .seconds(2)).etaSeconds == nil)
        // Three of the twenty seconds of work took six.
        let later = meter.reached(.denoising, 2, of: 10, at: start + .seconds(6))
        #expect(try abs(#require(later.etaSeconds) - 34) < 1e-9)
        var resumed = ProgressMeter(work, rates: rates, start: start)
        resumed.skip(.denoising, 5, of: 10)
        #expect(resumed.reached(.denoising, 6, of: 10, at: start + .seconds(2)).etaSeconds == nil)
        #expect(resumed.reached(.denoising, 7, of: 10, at: start + .seconds(4)).etaSeconds != nil)
    }

    @Test func ratesAreLearntFromAClip() {
        let timings = ["encoding_text": 2.0, "denoising": 5.0, "decoding": 10.0, "writing": 0]
        let learnt = work.rates(from: timings, before: rates)
        #expect(learnt[.encodingText] == 2)
        #expect(abs(learnt[.denoising] - 0.005) < 1e-12)
        #expect(abs(learnt[.decoding] - 0.002) < 1e-12)
        #expect(learnt[.writing] == 4)
    }
}
