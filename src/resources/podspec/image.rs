//! Names of container images, as far as the server reads them: whether a tag says `latest`.

/// When an image is pulled, if nobody says: always if its tag is `latest` or missing.
pub(super) fn pull_policy(image: &str) -> &'static str {
    if is_latest(image) { "Always" } else { "IfNotPresent" }
}

/// The most characters a name may have (distribution/reference).
const MAX_NAME: usize = 255;

/// Whether an image's tag is `latest`, or the name has neither tag nor digest. Malformed names have no tag at all.
fn is_latest(image: &str) -> bool {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let (name, tag) = match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
        _ => (name, None),
    };
    is_name(name)
        && name.len() <= MAX_NAME
        && match (tag, digest) {
            (Some(tag), _) => tag == "latest",
            (None, digest) => digest.is_none(),
        }
}

/// Whether a text is `[host[:port]/]path`, with a path of lower-case components.
fn is_name(name: &str) -> bool {
    let (first, rest) = name.split_once('/').unwrap_or((name, ""));
    let has_host = !rest.is_empty()
        && (first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase()));
    let path = if has_host { rest } else { name };
    !path.is_empty() && path.split('/').all(is_component)
}

/// Lower-case letters and digits, separated by one dot, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    let ends_well = text.starts_with(word) && text.ends_with(word);
    ends_well && text.split(word).filter(|between| !between.is_empty()).all(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_tag_or_with_latest_are_pulled_always() {
        for image in ["a", "a:latest", "example.com/a", "localhost:5000/a/b", "example.com:80/a_b/c-d:latest", "A/b"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in
            ["a:1", "example.com/a:1", "a@sha256:00", "localhost:5000/a:v1", "", "A", "a//b", "a__-b", "-a", "a:"]
        {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }
}
