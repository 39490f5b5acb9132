//! A component of WASI 0.2 that does what lines of its standard input say, and prints what came of it. It is built with
//!
//! ```text
//! rustc --edition 2024 --target wasm32-wasip2 -C opt-level=s -C lto -C panic=abort -C strip=symbols walls.rs
//! ```
//!
//! Lines: `read PATH`, `write PATH TEXT`, `append PATH TEXT`, `list PATH`, `size PATH`, `truncate PATH`, `mkdir PATH`,
//! `rmdir PATH`, `unlink PATH`, `rename OLD NEW`, `link OLD NEW`, `symlink TARGET NEW`, `readlink PATH`, `connect ADDRESS`,
//! `lookup NAME`.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::net::{TcpStream, ToSocketAddrs};

fn main() {
    for line in io::stdin().lock().lines() {
        let line = line.expect("standard input can be read");
        match perform(&line) {
            Ok(result) => println!("{line} -> {result}"),
            Err(error) => println!("{line} -> {:?}", error.kind()),
        }
    }
}

fn perform(line: &str) -> io::Result<String> {
    let mut words = line.splitn(3, ' ');
    let [operation, path, rest] = [(); 3].map(|()| words.next().unwrap_or_default());
    match operation {
        "read" => return fs::read_to_string(path),
        "write" => fs::write(path, rest)?,
        "append" => OpenOptions::new().append(true).open(path)?.write_all(rest.as_bytes())?,
        "list" => {
            let mut names = Vec::new();
            for entry in fs::read_dir(path)? {
                names.push(entry?.file_name().into_string().unwrap_or_default());
            }
            names.sort();
            return Ok(names.join(" "));
        }
        "size" => return fs::metadata(path).map(|metadata| metadata.len().to_string()),
        "truncate" => OpenOptions::new().write(true).open(path)?.set_len(0)?,
        "mkdir" => fs::create_dir(path)?,
        "rmdir" => fs::remove_dir(path)?,
        "unlink" => fs::remove_file(path)?,
        "rename" => fs::rename(path, rest)?,
        "link" => fs::hard_link(path, rest)?,
        #[expect(deprecated, reason = "what it makes is a symbolic link here")]
        "symlink" => fs::soft_link(path, rest)?,
        "readlink" => return fs::read_link(path).map(|target| target.display().to_string()),
        "connect" => drop(TcpStream::connect(path)?),
        "lookup" => drop((path, 80).to_socket_addrs()?),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    Ok("ok".to_owned())
}
