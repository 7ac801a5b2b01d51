// Moments of the wall clock as text, in UTC. Pure.

/// RFC 3339, e.g. "1994-11-06T08:49:37Z". `unixSeconds` ≥ 0.
public func rfc3339Date(_ unixSeconds: Int) -> String { dateAndTime(unixSeconds) + "Z" }

/// The same with milliseconds, e.g. "1994-11-06T08:49:37.250Z". `unixMilliseconds` ≥ 0.
public func rfc3339Time(_ unixMilliseconds: Int64) -> String {
    let (seconds, milliseconds) = unixMilliseconds.quotientAndRemainder(dividingBy: 1000)
    let digits = "\(milliseconds)"
    return dateAndTime(Int(seconds)) + "." + String(repeating: "0", count: 3 - digits.count) + digits + "Z"
}

private func dateAndTime(_ unixSeconds: Int) -> String {
    precondition(unixSeconds >= 0, "time \(unixSeconds)")
    let (days, second) = unixSeconds.quotientAndRemainder(dividingBy: 86_400)
    let (year, month, day) = civilDate(daysSince1970: days)
    let two = { (value: Int) in value < 10 ? "0\(value)" : "\(value)" }
    return "\(year)-\(two(month))-\(two(day))T\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))"
}

/// Gregorian date, by counting days in 400-year eras that begin on 1 March.
public func civilDate(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
}
