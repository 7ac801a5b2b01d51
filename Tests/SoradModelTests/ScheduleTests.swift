import SoradModel
// The noise levels against diffusers' FlowMatchEulerDiscreteScheduler.
import SoradModelFile
import SoradSystem
import Testing

@Suite struct ScheduleTests {
    @Test func sigmasAndTimestepsEqualDiffusers() throws {
        let cases = try #require(try JSONValue(file: Fixture.folder + "/scheduler.json").array)
        for row in cases {
            let steps = try #require(row["steps"]?.integer)
            let shift = try #require(row["shift"]?.double)
            let schedule = FlowMatchSchedule(steps: steps, shift: Float(shift))
            let sigmas = try #require(row["sigmas"]?.array).map { Float($0.double ?? .nan) }
            let timesteps = try #require(row["timesteps"]?.array).map { Float($0.double ?? .nan) }
            #expect(schedule.sigmas.count == steps + 1 && schedule.timesteps.count == steps)
            for (found, expected) in zip(schedule.sigmas + schedule.timesteps, sigmas + timesteps) {
                #expect(abs(found - expected) <= 2 * expected.ulp, "\(steps) steps, shift \(shift): \(found), not \(expected)")
            }
        }
        #expect(cases.count == 6)
    }
}
