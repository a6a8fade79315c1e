//! Values to JSON text, numbers written as Go writes them: `1` for 1.0, `1e+21`, `1e-07` as `1e-7`.

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// A value as compact JSON.
pub fn to_vec(value: &Value) -> Vec<u8> {
    compact(value)
}

/// A value as JSON indented by two spaces, for people.
pub fn to_pretty_vec(value: &Value) -> Vec<u8> {
    pretty(value)
}

/// What is made of values, as compact JSON.
pub(super) fn compact(value: &impl Serialize) -> Vec<u8> {
    print(value, GoFloats(CompactFormatter))
}

/// What is made of values, as indented JSON.
pub(super) fn pretty(value: &impl Serialize) -> Vec<u8> {
    print(value, GoFloats(PrettyFormatter::new()))
}

fn print<F: Formatter>(value: &impl Serialize, formatter: F) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .expect("a value has text keys, and memory takes all");
    bytes
}

/// A floating-point number as Go prints it.
pub(crate) fn go_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        // Go writes a plus sign before a positive exponent.
        return if text.contains("e-") { text } else { text.replace('e', "e+") };
    }
    format!("{value}")
}

/// A formatter that differs from another in nothing but floating-point numbers.
struct GoFloats<F>(F);

impl<F: Formatter> Formatter for GoFloats<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(go_float(value).as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}
