//! Lists of the indexes of a job's pods, such as `0,3-5`.

use atoll_api::{FieldError, FieldErrors, FieldPath};

use crate::resources::checks::invalid;

/// Checks a list of indexes; gives how many they are, 0 if they are malformed.
pub(super) fn check(errors: &mut FieldErrors, indexes: &str, completions: i64, path: &FieldPath) -> i64 {
    const MAX_BYTES: usize = 64 * 1024;
    if indexes.len() > MAX_BYTES {
        errors.push(FieldError::too_long(path, MAX_BYTES));
    }
    count(indexes, completions).unwrap_or_else(|why| {
        invalid(errors, path, &indexes.into(), format!("error parsing succeededIndexes: {why}"));
        0
    })
}

fn count(indexes: &str, completions: i64) -> Result<i64, String> {
    let disordered = |before: i64, next: i64| format!("non-increasing order, previous: {before}, current: {next}");
    let number = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(format!("cannot convert string to integer for index: {text:?}")),
        Ok(index) if index >= completions => Err(format!("too large index: {text:?}")),
        Ok(index) => Ok(index),
    };
    if indexes.is_empty() {
        return Ok(0);
    }
    let (mut last, mut count) = (None, 0);
    for interval in indexes.split(',') {
        let parts: Vec<&str> = interval.split('-').collect();
        let (from, to) = match parts.as_slice() {
            [one] => (number(one)?, number(one)?),
            [from, to] => (number(from)?, number(to)?),
            _ => {
                return Err(format!(
                    "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
                ));
            }
        };
        if parts.len() == 2 && from >= to {
            return Err(disordered(from, to));
        }
        if let Some(last) = last.filter(|last| *last >= from) {
            return Err(disordered(last, from));
        }
        count += to - from + 1;
        last = Some(to);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn indexes_rise_and_are_less_than_the_completions() {
        assert_eq!(count("", 3), Ok(0));
        assert_eq!(count("0,2-4", 5), Ok(4));
        for bad in ["x", "5", "1,0", "2-1", "1-1", "1-2-3", "0-9", "0,,1"] {
            assert!(count(bad, 5).is_err(), "{bad}");
        }
    }
}
