//! Cron schedules: whether a text is one. When it fires next is its controller's business.

/// The least and greatest value of each field, and the names that stand for values.
const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of month", 1, 31, &[]),
    ("month", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    ("day of week", 0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// What is wrong with a schedule.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    let plain = match schedule.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim(),
        _ => schedule,
    };
    if plain.is_empty() {
        return Err("empty spec string".into());
    }
    if plain.starts_with('@') {
        return match plain.strip_prefix("@every ") {
            Some(duration) if is_duration(duration) => Ok(()),
            Some(_) => Err(format!("failed to parse duration {plain}")),
            None if DESCRIPTORS.contains(&plain) => Ok(()),
            None => Err(format!("unrecognized descriptor: {plain}")),
        };
    }
    let fields: Vec<&str> = plain.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (text, (_, least, greatest, names)) in fields.into_iter().zip(FIELDS) {
        for range in text.split(',') {
            check_range(range, least, greatest, names)?;
        }
    }
    Ok(())
}

/// `*`, `7`, `1-5`, `*/15`, `mon-fri`, `10-50/10`.
fn check_range(text: &str, least: u32, greatest: u32, names: &[&str]) -> Result<(), String> {
    let (range, step) = match text.split_once('/') {
        Some((_, step)) if step.contains('/') => return Err(format!("too many slashes: {text}")),
        Some((range, step)) => (range, Some(step)),
        None => (text, None),
    };
    let (from, to) = match range {
        "*" | "?" => (least, greatest),
        range => match range.split_once('-') {
            Some((_, to)) if to.contains('-') => return Err(format!("too many hyphens: {text}")),
            Some((from, to)) => (value(from, least, names)?, value(to, least, names)?),
            None => {
                let from = value(range, least, names)?;
                (from, if step.is_some() { greatest } else { from })
            }
        },
    };
    if from < least {
        return Err(format!("beginning of range ({from}) below minimum ({least}): {text}"));
    }
    if to > greatest {
        return Err(format!("end of range ({to}) above maximum ({greatest}): {text}"));
    }
    if from > to {
        return Err(format!("beginning of range ({from}) beyond end of range ({to}): {text}"));
    }
    if step.map(number).transpose()? == Some(0) {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

fn value(text: &str, least: u32, names: &[&str]) -> Result<u32, String> {
    match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        Some(index) => Ok(least + u32::try_from(index).unwrap_or_default()),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    if text.starts_with('-') {
        return Err(format!("negative number ({text}) not allowed: {text}"));
    }
    text.parse().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))
}

/// Go's durations: `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let units = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        if digits == 0 || !["ns", "us", "µs", "ms", "s", "m", "h"].contains(&&rest[digits..units]) {
            return false;
        }
        rest = &rest[units..];
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn schedules_have_five_fields_or_a_name() {
        for good in
            ["* * * * *", "*/15 0-6 1,15 jan-mar MON", "0 0 1 1 0", "@daily", "@every 1h30m", "TZ=UTC 0 0 * * *"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in
            ["", "* * * *", "60 * * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "@often", "@every x", "a b c d e"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
