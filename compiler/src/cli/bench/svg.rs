//! The comparison as a picture: a bar for each contender, in a panel for each quantity.

use super::figures::{Figures, time};
use super::report::Report;

/// Width of the picture, where bars begin, and the length of the longest one.
const WIDTH: usize = 620;
const LEFT: usize = 176;
const LONGEST: f64 = 360.0;

/// Heights of a panel's title, a bar with what is between bars, and the gap between panels.
const TITLE: usize = 26;
const BAR: usize = 19;
const GAP: usize = 12;

const STYLE: &str = "text{font-family:sans-serif;fill:#333}.t{font-size:13px;font-weight:bold}.n{font-size:12px}\
                     .b{fill:#c2410c}.g{fill:#9ca3af}";

/// A quantity: its title, its value, and how the value is written.
type Panel = (&'static str, fn(&Figures) -> f64, fn(&Figures) -> String);

const PANELS: [Panel; 3] = [
    ("wall time", |figures| figures.wall.median, |figures| time(figures.wall.median)),
    ("CPU time", |figures| figures.cpu.median, |figures| time(figures.cpu.median)),
    ("peak memory", |figures| figures.peak_bytes.median, Figures::peak),
];

/// Draws the contenders that run the program; the first one is highlighted.
pub(super) fn draw(report: &Report) -> String {
    let rows: Vec<_> = report.rows.iter().filter_map(|row| Some((row.name.as_str(), row.figures.as_ref()?))).collect();
    let height = PANELS.len() * (TITLE + rows.len() * BAR + GAP);
    let what = if report.startup { "start-up" } else { "run time" };
    let label = escape(&format!("{what} of {}: {}", report.module, PANELS.map(|(title, ..)| title).join(", ")));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{label}\"><style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    );
    let mut top = 0;
    for (title, value, written) in PANELS {
        let title = escape(&format!("{what} of {}: {title}", report.module));
        svg += &format!("<text x=\"8\" y=\"{}\" class=\"t\">{title}</text>", top + 18);
        top += TITLE;
        let largest = rows.iter().map(|(_, figures)| value(figures)).fold(f64::MIN_POSITIVE, f64::max);
        for (index, (name, figures)) in rows.iter().enumerate() {
            let length = (value(figures) / largest * LONGEST).max(2.0).round();
            let class = if index == 0 { 'b' } else { 'g' };
            svg += &format!(
                "<text x=\"{}\" y=\"{}\" class=\"n\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{top}\" width=\"{length}\" height=\"15\" class=\"{class}\"/>\
                 <text x=\"{}\" y=\"{}\" class=\"n\">{}</text>",
                LEFT - 8,
                top + 12,
                escape(name),
                LEFT as f64 + length + 6.0,
                top + 12,
                escape(&written(figures)),
            );
            top += BAR;
        }
        top += GAP;
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
