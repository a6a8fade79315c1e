//! The built-in kinds: one file each under the name of their group, and one list of them all.
//!
//! Kinds differ here and nowhere else; reading and writing is the registry's.

pub mod catalog;
