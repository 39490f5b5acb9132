//! Documents: links lead to files that exist, and short ones stay short.

use std::path::Path;

use crate::{File, folder_of, support};

/// Documents with a limit, in lines.
const LIMITS: &[(&str, usize)] = &[("docs/ARCHITECTURE.md", 165)];

pub(crate) fn links_lead_somewhere(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| Path::new(&file.path).extension().is_some_and(|extension| extension == "md"))
    {
        for (number, line) in file.text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                if !support::repository().join(folder_of(&file.path)).join(target).exists() {
                    breaches.push(format!("{}:{}: there is no `{target}`", file.path, number + 1));
                }
            }
        }
    }
    breaches
}

pub(crate) fn stay_short(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (path, max) in LIMITS {
        match files.iter().find(|file| file.path == *path).map(|file| file.text.lines().count()) {
            None => breaches.push(format!("{path}: is missing")),
            Some(lines) if lines > *max => breaches.push(format!("{path}: {lines} lines, more than {max}")),
            Some(_) => {}
        }
    }
    breaches
}
