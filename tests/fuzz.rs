//! The corpora of the fuzz targets, run through what the targets do: nothing that was once found breaks again.

use std::path::Path;

#[path = "../fuzz/bodies.rs"]
mod bodies;

#[test]
fn every_input_of_every_corpus_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, body) in bodies::TARGETS {
        let inputs = std::fs::read_dir(corpora.join(name)).expect("each target has a corpus");
        let mut count = 0;
        for input in inputs.map(|entry| entry.expect("a file").path()) {
            let data = std::fs::read(&input).expect("an input can be read");
            // Told before it runs, so that what ends the process is known too.
            println!("{}", input.display());
            body(&data);
            count += 1;
        }
        assert!(count >= 5, "the corpus of {name} has {count} inputs, too few to say anything");
    }
}

#[test]
fn every_target_is_declared() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml"));
    let manifest = manifest.expect("the fuzz package");
    for (name, _) in bodies::TARGETS {
        assert!(manifest.contains(&format!("fuzz_targets/{name}.rs")), "{name} is a target of its own");
    }
}
