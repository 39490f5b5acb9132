//! Container images that hold executables and nothing else, as the archive of an OCI image layout. In: executables that
//! wasmelt made for Linux, one for each architecture; out: the bytes of a tar file. The same executables make the same
//! bytes: no time is in them.
//!
//! Source: OCI Image Format Specification 1.1 (image-layout.md, manifest.md, config.md, layer.md). `manifest.json` is for
//! versions of `docker load` that do not know image layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::error::{Error, Result};
use crate::inspect;
use crate::options::{DirGrant, Policy};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What an image is to be, besides its executables.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name and tag, such as `registry.example/app:1.0`; `None` for an image without a name.
    pub name: Option<String>,
    /// Number of the user that the program runs as.
    pub user: u32,
    /// Number of its group.
    pub group: u32,
    /// Arguments of the program, which whoever starts it may replace.
    pub args: Vec<String>,
    /// TCP ports that the program listens on, besides those that it is granted.
    pub ports: Vec<u16>,
    /// Labels by their names.
    pub labels: BTreeMap<String, String>,
}

impl Default for Settings {
    /// An image without a name, for the user that distributions without a shell have for services.
    fn default() -> Self {
        Self { name: None, user: 65532, group: 65532, args: Vec::new(), ports: Vec::new(), labels: BTreeMap::new() }
    }
}

/// An executable for an image.
#[derive(Clone, Copy, Debug)]
pub struct Executable<'a> {
    /// What messages call it: where its bytes came from.
    pub source_name: &'a str,
    /// The name of its file, without folders: that of the program in the image.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// An image and what its user has to know.
#[derive(Debug)]
pub struct Image {
    /// The archive.
    pub bytes: Vec<u8>,
    /// Digest of what the archive's index refers to, as `sha256:...`: what registries know the image by.
    pub digest: String,
    /// What the program needs that is not in the image.
    pub notes: Vec<String>,
}

/// Makes an image of executables, one for each architecture.
pub fn image(executables: &[Executable<'_>], settings: &Settings) -> Result<Image> {
    let mut blobs = BTreeMap::new();
    let mut manifests: Vec<Value> = Vec::new();
    let mut of_docker = Vec::new();
    let mut notes = BTreeSet::new();
    let mut architectures = BTreeSet::new();
    for executable in executables {
        let (platform, policy) = check(executable)?;
        if !architectures.insert(platform.to_string()) {
            return Err(Error::usage(format!(
                "{}: the image has an executable for this architecture already",
                executable.source_name
            )));
        }
        notes.extend(missing(&policy));
        let folders = folders(&policy);
        if folders.contains(executable.name) {
            return Err(Error::usage(format!(
                "{}: the image would have the program and a granted directory under one name, `{}`",
                executable.source_name, executable.name
            ))
            .hint("`--name NAME` gives the program another one"));
        }
        let (layer, unpacked) = layer(executable, &folders, settings).map_err(|e| internal(&e))?;
        let config = config(executable, &platform, &unpacked, &policy, settings);
        let layer = blob(&mut blobs, LAYER, layer);
        let config = blob(&mut blobs, CONFIG, config.to_string().into_bytes());
        of_docker.push(json!({
            "Config": path_of(&config),
            "RepoTags": settings.name.as_deref().map(tagged).into_iter().collect::<Vec<_>>(),
            "Layers": [path_of(&layer)],
        }));
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let mut manifest = blob(&mut blobs, MANIFEST, manifest.to_string().into_bytes());
        manifest["platform"] = platform;
        manifests.push(manifest);
    }
    let mut root = match manifests.len() {
        0 => return Err(Error::usage("an image needs an executable")),
        1 => manifests.remove(0),
        _ => {
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
            blob(&mut blobs, INDEX, index.to_string().into_bytes())
        }
    };
    let digest = root["digest"].as_str().unwrap_or_default().to_owned();
    if let Some(name) = &settings.name {
        // The tag for tools of image layouts, the whole name for containerd.
        root["annotations"] = json!({"org.opencontainers.image.ref.name": tag(name), "io.containerd.image.name": name});
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [root]});
    let bytes = archive(&blobs, &index, &Value::Array(of_docker)).map_err(|e| internal(&e))?;
    Ok(Image { bytes, digest, notes: notes.into_iter().collect() })
}

/// The platform of an executable, as images name it, and what it is granted.
fn check(executable: &Executable<'_>) -> Result<(Value, Policy)> {
    let name = executable.source_name;
    let refused = |what: &str, hint: &str| Err(Error::input(format!("{name} {what}")).hint(hint));
    let header = elf::FileHeader64::<Endianness>::parse(executable.bytes);
    let Ok(header) = header else {
        return refused(
            "is not an executable for Linux, which an image needs",
            "`wasmelt compile --target x86_64-unknown-linux-musl` makes one, and `aarch64-unknown-linux-musl` for arm64",
        );
    };
    let inspect::Report::Native(report) = inspect::inspect(executable.bytes, name)? else {
        return refused("is not an executable", "`wasmelt compile` makes one");
    };
    if report.output != "executable" {
        return refused(
            &format!("is not an executable but a file of the kind `{}`", report.output),
            "leave out `--emit`",
        );
    }
    let endian = header.endian().map_err(|e| Error::input(format!("{name} cannot be read: {e}")))?;
    let segments = header.program_headers(endian, executable.bytes);
    let segments = segments.map_err(|e| Error::input(format!("{name} cannot be read: {e}")))?;
    if segments.iter().any(|segment| segment.p_type(endian) == elf::PT_INTERP) {
        return refused(
            "needs the C library of its system, and the image has none",
            "executables of the default runtime stand on the kernel alone: leave out `--runtime portable`",
        );
    }
    let platform = match header.e_machine(endian) {
        elf::EM_X86_64 => json!({"architecture": "amd64", "os": "linux"}),
        elf::EM_AARCH64 => json!({"architecture": "arm64", "os": "linux", "variant": "v8"}),
        machine => {
            return Err(Error::input(format!(
                "{name} is for a CPU that images have no name for: ELF machine {machine}"
            )));
        }
    };
    Ok((platform, report.provenance.policy))
}

/// The folders of the image that directories of the host are for: empty ones, so that the program starts without volumes.
/// The working directory, and the executable's folder, are the root.
fn folders(policy: &Policy) -> BTreeSet<String> {
    policy.dirs.iter().flat_map(|grant: &DirGrant| folders_to(&grant.host)).collect()
}

/// The folders through which a path of the host leads, from the root of the image on.
fn folders_to(host: &str) -> Vec<String> {
    let (mut path, mut folders) = (Vec::new(), Vec::new());
    for part in host.split('/') {
        match part {
            "" | "." => {}
            // Above the root is the root.
            ".." => _ = path.pop(),
            part => {
                path.push(part);
                folders.push(path.join("/"));
            }
        }
    }
    folders
}

/// What the program is granted of its host that no image can hold.
fn missing(policy: &Policy) -> Vec<String> {
    let dirs = policy.dirs.iter().filter(|grant| !folders_to(&grant.host).is_empty());
    let dirs = dirs.map(|grant| format!("a volume belongs at {}, which is an empty folder", grant.host));
    let files = policy.files.iter().map(|grant| format!("the file {} has to be mounted", grant.host));
    dirs.chain(files).collect()
}

/// The layer, compressed, and the digest of what it is before.
fn layer(
    executable: &Executable<'_>,
    folders: &BTreeSet<String>,
    settings: &Settings,
) -> io::Result<(Vec<u8>, String)> {
    let mut builder = Builder::new(Vec::new());
    for folder in folders {
        let mut header = header(0, 0o755, EntryType::Directory);
        header.set_uid(settings.user.into());
        header.set_gid(settings.group.into());
        builder.append_data(&mut header, format!("{folder}/"), io::empty())?;
    }
    // It belongs to root: the program cannot change itself.
    let mut header = header(executable.bytes.len() as u64, 0o555, EntryType::Regular);
    builder.append_data(&mut header, executable.name, executable.bytes)?;
    let tar = builder.into_inner()?;
    let digest = digest(&tar);
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(&tar)?;
    Ok((encoder.finish()?, digest))
}

fn config(
    executable: &Executable<'_>,
    platform: &Value,
    unpacked: &str,
    policy: &Policy,
    settings: &Settings,
) -> Value {
    let granted = policy.tcp_listen.iter().map(std::net::SocketAddr::port).filter(|&port| port != 0);
    let ports: serde_json::Map<_, _> =
        granted.chain(settings.ports.iter().copied()).map(|port| (format!("{port}/tcp"), json!({}))).collect();
    let mut config = json!({
        "config": {
            "User": format!("{}:{}", settings.user, settings.group),
            "Entrypoint": [format!("/{}", executable.name)],
            "Cmd": settings.args,
            "WorkingDir": "/",
            "ExposedPorts": ports,
            "Labels": settings.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [unpacked]},
        "history": [{"created_by": concat!("wasmelt ", env!("CARGO_PKG_VERSION"))}],
    });
    for (key, value) in platform.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    config
}

/// Keeps bytes under their digest; the descriptor that refers to them.
fn blob(blobs: &mut BTreeMap<String, Vec<u8>>, media_type: &str, bytes: Vec<u8>) -> Value {
    let digest = digest(&bytes);
    let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
    blobs.insert(digest, bytes);
    descriptor
}

/// Where the archive has what a descriptor refers to.
fn path_of(descriptor: &Value) -> String {
    format!("blobs/{}", descriptor["digest"].as_str().unwrap_or_default().replace(':', "/"))
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The tag of an image's name, `latest` where it has none.
fn tag(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or("latest", |(_, tag)| tag)
}

/// The name with its tag, which Docker wants.
fn tagged(name: &str) -> String {
    let tag = tag(name);
    if name.ends_with(&format!(":{tag}")) { name.to_owned() } else { format!("{name}:{tag}") }
}

fn header(size: u64, mode: u32, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header
}

/// The image layout as a tar file.
fn archive(blobs: &BTreeMap<String, Vec<u8>>, index: &Value, of_docker: &Value) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    let mut add = |path: String, bytes: &[u8]| {
        builder.append_data(&mut header(bytes.len() as u64, 0o644, EntryType::Regular), path, bytes)
    };
    add("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add("index.json".to_owned(), index.to_string().as_bytes())?;
    add("manifest.json".to_owned(), of_docker.to_string().as_bytes())?;
    for (digest, bytes) in blobs {
        add(format!("blobs/{}", digest.replace(':', "/")), bytes)?;
    }
    builder.into_inner()
}

/// Writing into memory fails only where a name does not fit.
fn internal(error: &io::Error) -> Error {
    Error::input(format!("the image cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_behind_the_last_folder() {
        assert_eq!(tag("localhost:5000/app"), "latest");
        assert_eq!(tag("localhost:5000/team/app:1.0"), "1.0");
        assert_eq!(
            (tag("app"), tagged("app"), tagged("app:1")),
            ("latest", "app:latest".to_owned(), "app:1".to_owned())
        );
    }

    #[test]
    fn folders_stay_in_the_image() {
        let grant = |host: &str| DirGrant { host: host.to_owned(), guest: String::new(), read_only: false };
        let of = |host: &str| {
            folders(&Policy { dirs: vec![grant(host)], ..Policy::default() }).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of("./data/in"), ["data", "data/in"]);
        assert_eq!(of("../../etc"), ["etc"]);
        // The system goes through `lib` as well.
        assert_eq!(of("/var//lib/../x/"), ["var", "var/lib", "var/x"]);
        assert_eq!(of("."), [""; 0]);
    }

    #[test]
    fn what_is_not_an_executable_for_linux_is_refused() {
        for bytes in
            [&b""[..], b"\0asm\x01\0\0\0", b"MZ", b"\x7fELF", &std::fs::read("/proc/self/exe").unwrap_or_default()]
        {
            let error =
                image(&[Executable { source_name: "app", name: "app", bytes }], &Settings::default()).unwrap_err();
            assert!(error.to_string().starts_with("app "), "{error}");
        }
        assert!(image(&[], &Settings::default()).is_err());
    }
}
