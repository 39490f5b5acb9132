//! `--policy FILE`: capabilities and limits as a file in TOML, with the names and values of the options.
//!
//! ```toml
//! dir = ["data::/data:ro", "cache"]
//! env = ["LANG", "MODE=batch"]
//! max-memory = "64M"
//! timeout = "5s"
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::embed::Embed;
use super::{grants, values};
use crate::error::{Error, ErrorKind, Result};
use crate::network::{AddressGrant, NameGrant, Network};
use crate::options::{DirFrom, DirGrant, EnvGrant, FileGrant, Policy, Stdio};

/// The content of a policy file.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct PolicyFile {
    #[serde(deserialize_with = "list_of_dirs")]
    dir: Vec<DirGrant>,
    #[serde(deserialize_with = "list_of_files")]
    file: Vec<FileGrant>,
    /// `--embed`: the files themselves are read by whoever asked for the policy.
    #[serde(deserialize_with = "list_of_embeds")]
    pub(super) embed: Vec<Embed>,
    #[serde(deserialize_with = "list_of_env")]
    env: Vec<EnvGrant>,
    inherit_env: bool,
    arg0: Option<String>,
    tcplisten: Vec<SocketAddr>,
    tcp_connect: Vec<AddressGrant>,
    tcp_listen: Vec<AddressGrant>,
    udp: Vec<AddressGrant>,
    resolve: Vec<NameGrant>,
    dir_from: DirFrom,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    /// `--max-memory`, which is not part of [`Policy`].
    #[serde(deserialize_with = "size")]
    pub(super) max_memory: Option<u64>,
    max_open_files: Option<u32>,
    max_table_elements: Option<u64>,
    #[serde(deserialize_with = "size")]
    max_exception_memory: Option<u64>,
    max_threads: Option<u32>,
    #[serde(deserialize_with = "duration")]
    timeout: Option<Duration>,
    fuel: Option<u64>,
    /// The seed.
    deterministic: Option<u64>,
    harden: bool,
}

impl PolicyFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|e| Error::input(format!("cannot read the policy {}: {e}", path.display())))?;
        toml::from_str(&text).map_err(|e| {
            Error::with_details(ErrorKind::Input, &e.to_string())
                .context(path.display().to_string())
                .hint("keys and values of a policy file are those of the options: `wasmelt help compile`")
        })
    }

    /// What the guest may do.
    pub(super) fn into_policy(self) -> Policy {
        Policy {
            dirs: self.dir,
            files: self.file,
            env: self.env,
            inherit_env: self.inherit_env,
            arg0: self.arg0,
            tcp_listen: self.tcplisten,
            network: Network {
                tcp_connect: self.tcp_connect,
                tcp_listen: self.tcp_listen,
                udp: self.udp,
                resolve: self.resolve,
            },
            dir_from: self.dir_from,
            stdio: [self.stdin, self.stdout, self.stderr],
            max_open_files: self.max_open_files,
            max_table_elements: self.max_table_elements,
            max_exception_bytes: self.max_exception_memory,
            max_threads: self.max_threads,
            timeout: self.timeout,
            fuel: self.fuel,
            deterministic: self.deterministic,
            harden: self.harden,
            ..Policy::default()
        }
    }
}

/// A list whose elements are values of options.
fn list<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> std::result::Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse(text)).collect::<std::result::Result<_, _>>().map_err(D::Error::custom)
}

/// A value of an option.
fn value<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> std::result::Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map(Some).map_err(D::Error::custom)
}

fn list_of_dirs<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<DirGrant>, D::Error> {
    list(deserializer, grants::dir)
}

fn list_of_files<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<FileGrant>, D::Error> {
    list(deserializer, grants::file)
}

fn list_of_embeds<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Embed>, D::Error> {
    list(deserializer, values::embed)
}

fn list_of_env<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<EnvGrant>, D::Error> {
    list(deserializer, values::env)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u64>, D::Error> {
    value(deserializer, values::size)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Duration>, D::Error> {
    value(deserializer, values::duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_options_say() {
        let text = r#"
            dir = ["data::/data:ro", "."]
            env = ["LANG", "A=b"]
            tcplisten = ["127.0.0.1:8080"]
            tcp-connect = ["10.0.0.0/8:443"]
            resolve = ["*.example.org"]
            stdin = "null"
            dir-from = "exe"
            max-memory = "64M"
            max-open-files = 10
            max-table-elements = 100
            max-exception-memory = "1M"
            max-threads = 0
            timeout = "500ms"
            fuel = 1000
            deterministic = 7
        "#;
        let file: PolicyFile = toml::from_str(text).unwrap();
        assert_eq!(file.max_memory, Some(64 << 20));
        let policy = file.into_policy();
        assert_eq!(policy.dirs, [grants::dir("data::/data:ro").unwrap(), grants::dir(".").unwrap()]);
        assert_eq!(policy.env, [values::env("LANG").unwrap(), values::env("A=b").unwrap()]);
        assert_eq!(policy.network.tcp_connect, ["10.0.0.0/8:443".parse().unwrap()]);
        assert_eq!(policy.network.resolve, ["*.example.org".parse().unwrap()]);
        assert_eq!(policy.stdio, [Stdio::Null, Stdio::Inherit, Stdio::Inherit]);
        assert_eq!((policy.dir_from, policy.max_open_files), (DirFrom::Exe, Some(10)));
        assert_eq!((policy.max_table_elements, policy.max_exception_bytes), (Some(100), Some(1 << 20)));
        assert_eq!(policy.max_threads, Some(0));
        assert_eq!((policy.timeout, policy.fuel), (Some(Duration::from_millis(500)), Some(1000)));
        assert_eq!(policy.deterministic, Some(7));
        assert_eq!(toml::from_str::<PolicyFile>("").unwrap().into_policy(), Policy::default());
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_place() {
        for (text, part) in [
            ("dirs = []", "unknown field `dirs`"),
            ("\n\ndir = \"data\"", "line 3"),
            ("dir = [\"::x\"]", "the host's directory is empty"),
            ("timeout = \"5\"", "expected a time span"),
            ("stdin = \"file\"", "unknown variant `file`"),
            ("udp = [\"localhost:53\"]", "a name is not accepted as a host"),
            ("fuel = -1", "line 1"),
            ("max-memory = \"64Q\"", "expected a number of bytes"),
        ] {
            let error = toml::from_str::<PolicyFile>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
