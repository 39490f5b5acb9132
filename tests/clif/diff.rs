//! Two texts to the lines that differ, in the unified form that `diff -u` prints.

/// Unchanged lines that are shown around a change.
const CONTEXT: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Removed,
    Added,
}

/// The changes that lead from one text to the other.
pub(crate) fn unified(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let lines = edits(&from, &to);
    let near_change = |at: usize| {
        let range = at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(lines.len());
        lines[range].iter().any(|&(kind, _)| kind != Kind::Same)
    };
    let (mut out, mut number, mut shown) = (String::new(), 1, false);
    for (at, &(kind, line)) in lines.iter().enumerate() {
        let near = near_change(at);
        if near && !shown {
            out += &format!("@@ line {number} of what was expected @@\n");
        }
        shown = near;
        let sign = match kind {
            Kind::Same => ' ',
            Kind::Removed => '-',
            Kind::Added => '+',
        };
        if shown {
            out += &format!("{sign}{line}\n");
        }
        if kind != Kind::Added {
            number += 1;
        }
    }
    out
}

/// A shortest sequence of edits, from the longest common subsequence.
fn edits<'a>(from: &[&'a str], to: &[&'a str]) -> Vec<(Kind, &'a str)> {
    // longest[i][j]: how many lines from[i..] and to[j..] have in common.
    let mut longest = vec![vec![0_u32; to.len() + 1]; from.len() + 1];
    for i in (0..from.len()).rev() {
        for j in (0..to.len()).rev() {
            longest[i][j] =
                if from[i] == to[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < from.len() || j < to.len() {
        if i < from.len() && j < to.len() && from[i] == to[j] {
            out.push((Kind::Same, from[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < from.len() && (j == to.len() || longest[i + 1][j] >= longest[i][j + 1]) {
            out.push((Kind::Removed, from[i]));
            i += 1;
        } else {
            out.push((Kind::Added, to[j]));
            j += 1;
        }
    }
    out
}
