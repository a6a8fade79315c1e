//! What was measured: rows that are printed, written down as JSON, and compared between systems as a table with ratios.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

/// The rows of one run, in the order in which they were measured.
pub(super) struct Report {
    name: String,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    unit: String,
    better: Better,
    figure: f64,
}

/// A row of the comparison: its figures by the system they are of.
struct Compared {
    what: String,
    unit: String,
    better: Better,
    figures: BTreeMap<String, Vec<f64>>,
}

// === impl Report ===

impl Report {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rows: Vec::new() }
    }

    pub(super) fn add(&mut self, what: &str, unit: &str, better: Better, figure: f64) {
        eprintln!("[{}] {what}: {} {unit}", self.name, show(figure));
        self.rows.push(Row { what: what.to_owned(), unit: unit.to_owned(), better, figure });
    }

    pub(super) fn print(&self) {
        println!("| what | unit | {} |\n|---|---|---|", self.name);
        for row in &self.rows {
            println!("| {} | {} | {} |", row.what, row.unit, show(row.figure));
        }
    }

    /// Writes all rows to a file, for a comparison.
    pub(super) fn write(&self, file: &Path) -> Result<(), Failure> {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let more = row.better == Better::More;
                json!({"what": row.what, "unit": row.unit, "more is better": more, "figure": row.figure})
            })
            .collect();
        Ok(std::fs::write(file, format!("{:#}\n", json!({"name": self.name, "rows": rows})))?)
    }
}

/// The table of what several runs of several systems wrote down: medians, and how much better the first system is.
pub(super) fn compare(files: &[std::path::PathBuf]) -> Result<String, Failure> {
    let (mut systems, mut rows): (Vec<(String, usize)>, Vec<Compared>) = (Vec::new(), Vec::new());
    for file in files {
        let run: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
        let name = run["name"].as_str().ok_or("a run has no name")?;
        match systems.iter_mut().find(|(known, _)| known == name) {
            Some((_, runs)) => *runs += 1,
            None => systems.push((name.to_owned(), 1)),
        }
        for row in run["rows"].as_array().into_iter().flatten() {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let (what, figure) = (text("what"), row["figure"].as_f64().unwrap_or(f64::NAN));
            let place = rows.iter().position(|known| known.what == what).unwrap_or_else(|| {
                let better = if row["more is better"] == true { Better::More } else { Better::Less };
                rows.push(Compared { what, unit: text("unit"), better, figures: BTreeMap::new() });
                rows.len() - 1
            });
            rows[place].figures.entry(name.to_owned()).or_default().push(figure);
        }
    }
    Ok(table(&systems, &rows))
}

fn table(systems: &[(String, usize)], rows: &[Compared]) -> String {
    let Some(((first, _), others)) = systems.split_first() else { return String::new() };
    let mut out = String::from("| what | unit |");
    for (name, runs) in systems {
        out += &format!(" {name} ({runs} {}) |", if *runs == 1 { "run" } else { "runs, median" });
    }
    for (name, _) in others {
        out += &format!(" {first} is better than {name} by |");
    }
    out += &format!("\n|---|---|{}\n", "---|".repeat(systems.len() + others.len()));
    for row in rows {
        let median = |name: &String| row.figures.get(name).and_then(|figures| median(figures));
        let cell = |figure: Option<f64>| figure.map_or("–".to_owned(), show);
        out += &format!("| {} | {} |", row.what, row.unit);
        for (name, _) in systems {
            out += &format!(" {} |", cell(median(name)));
        }
        for (name, _) in others {
            let ratio = median(first).zip(median(name)).map(|(ours, theirs)| match row.better {
                Better::More => ours / theirs,
                Better::Less => theirs / ours,
            });
            let ratio = ratio.filter(|ratio| ratio.is_finite());
            out += &format!(" {} |", ratio.map_or("–".to_owned(), |ratio| format!("{} ×", show(ratio))));
        }
        out.push('\n');
    }
    out
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.iter().copied().filter(|figure| figure.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    // Of an even number, what is between the middle two.
    let (above, below) = (sorted.get(sorted.len() / 2)?, sorted.get((sorted.len() - 1) / 2)?);
    Some((above + below) / 2.0)
}

/// Three digits that mean something.
fn show(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
