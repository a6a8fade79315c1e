//! The query part of a URL, decoded as Go's `net/url` decodes it: what is malformed is dropped without a word.
//!
//! What the parameters mean is not known here.

/// The parameters of a URL's query, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes what stands after the `?`. Pairs with a `;` or a malformed escape are dropped, as Go's `URL.Query` does.
    pub fn parse(raw: &str) -> Self {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        Self(pairs.filter_map(decode_pair).collect())
    }

    /// The first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All parameters.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A parameter that is on unless it is absent, `0` or `false` (in any case): `?watch` and `?watch=` are on.
    pub fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    /// Like [`Query::flag`], telling absence from `false`.
    pub fn optional_flag(&self, name: &str) -> Option<bool> {
        self.first(name).map(|text| text != "0" && !text.eq_ignore_ascii_case("false"))
    }
}

impl FromIterator<(String, String)> for Query {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

fn decode_pair(pair: &str) -> Option<(String, String)> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((unescape(key)?, unescape(value)?))
}

/// Undoes percent-encoding and `+` for a space; bytes that are not UTF-8 become U+FFFD.
fn unescape(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(*rest.next()?).to_digit(16)?;
                let low = char::from(*rest.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            other => *other,
        });
    }
    Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_malformed_ones_dropped() {
        let query = Query::parse("a=1&a=2&b=x%20y+z&c&d=%zz&e=%2&f=1;g=2&&h=%41%3D%ff&i=a=b");
        let pairs: Vec<_> = query.pairs().collect();
        let expected = [("a", "1"), ("a", "2"), ("b", "x y z"), ("c", ""), ("h", "A=\u{fffd}"), ("i", "a=b")];
        assert_eq!(pairs, expected);
        assert_eq!(query.first("a"), Some("1"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.first("zz"), None);
    }

    #[test]
    fn a_flag_is_on_unless_absent_zero_or_false() {
        let cases = [("w=true", true), ("w=1", true), ("w", true), ("w=", true), ("w=yes", true)];
        let off = [("w=0", false), ("w=false", false), ("w=False", false), ("", false), ("w=false&w=true", false)];
        for (text, expected) in cases.into_iter().chain(off) {
            assert_eq!(Query::parse(text).flag("w"), expected, "{text}");
        }
    }
}
