//! Counts the words of all text files below a directory and prints the most frequent ones.
//!
//! usage: wordfreq DIRECTORY COUNT

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn count_words(dir: &Path, counts: &mut HashMap<String, usize>) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files += count_words(&entry.path(), counts)?;
        } else if entry.path().extension().is_some_and(|e| e == "txt") {
            files += 1;
            for word in fs::read_to_string(entry.path())?.split(|c: char| !c.is_alphanumeric()) {
                if !word.is_empty() {
                    *counts.entry(word.to_lowercase()).or_default() += 1;
                }
            }
        }
    }
    Ok(files)
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().collect();
    let [_, dir, count] = args.as_slice() else {
        eprintln!("usage: wordfreq DIRECTORY COUNT");
        return ExitCode::from(64);
    };
    let Ok(count) = count.parse() else {
        eprintln!("wordfreq: {count:?} is not a number");
        return ExitCode::from(64);
    };
    let mut counts = HashMap::new();
    match count_words(Path::new(dir), &mut counts) {
        Ok(files) => println!("{} different words in {files} files", counts.len()),
        Err(error) => {
            eprintln!("wordfreq: {dir}: {error}");
            return ExitCode::from(2);
        }
    }
    let mut words: Vec<_> = counts.into_iter().collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for (word, n) in words.into_iter().take(count) {
        println!("{n:6}  {word}");
    }
    ExitCode::SUCCESS
}
