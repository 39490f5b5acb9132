//! The comparison as text, Markdown or JSON.

use serde::Serialize;

use super::figures::{Figures, Spread, time};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Name of the module's file.
    pub(super) module: String,
    pub(super) arguments: Vec<String>,
    /// Starts were compared.
    pub(super) startup: bool,
    pub(super) rows: Vec<Row>,
}

/// A contender.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) version: String,
    /// Seconds that it compiled before the first run.
    pub(super) preparation: Option<f64>,
    /// None where it does not run the program.
    pub(super) figures: Option<Figures>,
    /// Median of wall time as a multiple of the executable's.
    pub(super) ratio: Option<f64>,
    /// Why it does not run the program, or what is different about it.
    pub(super) note: Option<String>,
}

const HEADER: [&str; 8] = ["", "wall time", "least", "CPU time", "memory", "page faults", "ratio", "compiled in"];

impl Report {
    fn cells(&self) -> Vec<[String; 8]> {
        let mut rows = vec![HEADER.map(str::to_owned)];
        for row in &self.rows {
            let preparation = row.preparation.map(time).unwrap_or_default();
            let Some(figures) = &row.figures else { continue };
            rows.push([
                row.name.clone(),
                with_spread(&figures.wall),
                time(figures.wall.minimum),
                with_spread(&figures.cpu),
                figures.peak(),
                format!("{:.0}", figures.page_faults.median),
                row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                preparation,
            ]);
        }
        rows
    }

    /// What was measured, in words.
    fn title(&self) -> String {
        let words = std::iter::once(&self.module).chain(&self.arguments).map(String::as_str).collect::<Vec<_>>();
        let what = if self.startup { "start-up" } else { "run time" };
        format!("{what} of `{}`: medians ± half the distance between the quartiles", words.join(" "))
    }

    /// Versions of the contenders, and what there is to say about them.
    fn remarks(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for row in &self.rows {
            let runs = row.figures.as_ref().map_or(0, |figures| figures.runs);
            let note = row.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
            seen.push(match runs {
                0 => format!("{}: {}{note}", row.name, row.version),
                _ => format!("{}: {}, {runs} runs{note}", row.name, row.version),
            });
        }
        seen
    }

    /// A table for terminals.
    pub(super) fn text(&self) -> String {
        let rows = self.cells();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        let mut text = format!("{}\n\n", self.title());
        for row in &rows {
            let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text.push('\n');
        for remark in self.remarks() {
            text += &remark;
            text.push('\n');
        }
        text
    }

    /// A table for documents.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.title());
        for (index, row) in self.cells().iter().enumerate() {
            text += &format!("| {} |\n", row.join(" | "));
            if index == 0 {
                text += &format!("|---{}\n", "|---:".repeat(HEADER.len() - 1) + "|");
            }
        }
        text.push('\n');
        for remark in self.remarks() {
            text += &format!("- {}\n", remark.replace('|', "\\|"));
        }
        text
    }
}

fn with_spread(spread: &Spread) -> String {
    format!("{} ± {:.0} %", time(spread.median), spread.percents())
}
