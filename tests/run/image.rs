//! Container images: what is in them, whether others read them, and whether the program in them runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    let skopeo = "image::is_read_by_skopeo";
    vec![
        Trial::test("image::holds_the_program_and_its_folders", holds_the_program_and_its_folders),
        match support::find_program("skopeo") {
            Some(_) => Trial::test(skopeo, is_read_by_skopeo),
            None => support::skipped(skopeo, "there is no `skopeo`, which reads images"),
        },
    ]
}

/// A program of `examples/hello.wat` and the image of it.
fn image(folder: &Path, compile: &[&str], options: &[&str]) -> Result<PathBuf, Failed> {
    let (program, image) = (folder.join("app"), folder.join("image.tar"));
    support::compile(&support::repository().join("examples/hello.wat"), &program, compile)?;
    let mut command = support::wasmelt();
    command.arg("image").arg(&program).arg("-o").arg(&image).args(options);
    support::run(&mut command, b"")?.expect_code(0)?;
    Ok(image)
}

fn unpack(archive: &Path, into: &Path) -> Result<(), Failed> {
    fs::create_dir(into)?;
    support::run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into), b"")?.expect_code(0)?;
    Ok(())
}

/// The blob that a descriptor refers to, whose digest and length are compared.
fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf, Failed> {
    let digest = descriptor["digest"].as_str().ok_or("a descriptor has no digest")?;
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    let sum = support::run(Command::new("sha256sum").arg(&path), b"")?.expect_code(0)?.stdout();
    let found = format!("sha256:{}", sum.split(' ').next().unwrap_or_default());
    let len = fs::metadata(&path)?.len();
    match found == digest && descriptor["size"] == len {
        true => Ok(path),
        false => Err(format!("{descriptor} is {found}, {len} bytes").into()),
    }
}

fn read(path: &Path) -> Result<Value, Failed> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn holds_the_program_and_its_folders() -> Result<(), Failed> {
    let scratch = support::scratch();
    let options = ["--arg", "-v", "--user", "7:8", "--expose", "80", "--label", "a=b", "-q"];
    let image = image(scratch.path(), &["--dir", "data/../in/x::/d"], &options)?;
    let layout = scratch.path().join("layout");
    unpack(&image, &layout)?;
    let index = read(&layout.join("index.json"))?;
    let manifest = read(&blob(&layout, &index["manifests"][0])?)?;
    let config = read(&blob(&layout, &manifest["config"])?)?;
    let expected = serde_json::json!({
        "User": "7:8", "Entrypoint": ["/app"], "Cmd": ["-v"], "WorkingDir": "/", "ExposedPorts": {"80/tcp": {}},
        "Labels": {"a": "b"},
    });
    if config["config"] != expected || config["os"] != "linux" {
        return Err(format!("the configuration is {config}").into());
    }
    let layer = blob(&layout, &manifest["layers"][0])?;
    let root = scratch.path().join("root");
    unpack(&layer, &root)?;
    let mut names: Vec<_> = fs::read_dir(&root)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_, Failed>>()?;
    names.sort();
    if names != ["app", "data", "in"] || !root.join("in/x").is_dir() {
        return Err(format!("the layer holds {names:?}").into());
    }
    if fs::metadata(root.join("app"))?.permissions().mode() & 0o222 != 0 {
        return Err("the program can be written".into());
    }
    let mut command = Command::new(root.join("app"));
    support::run(command.current_dir(&root), b"")?.expect_code(0)?.expect_stdout("Hello, world!\n")?;
    // Nothing in it depends on when or where it is made.
    let first = fs::read(&image)?;
    let mut command = support::wasmelt();
    command.current_dir("/").arg("image").arg(scratch.path().join("app")).arg("-o").arg(&image).args(options);
    support::run(&mut command, b"")?.expect_code(0)?;
    if fs::read(&image)? != first { Err("the same command made another image".into()) } else { Ok(()) }
}

fn is_read_by_skopeo() -> Result<(), Failed> {
    let scratch = support::scratch();
    let image = image(scratch.path(), &[], &["--tag", "example.org/team/app:1.0"])?;
    for transport in ["oci-archive", "docker-archive"] {
        let of = if transport == "oci-archive" { ":1.0" } else { "" };
        let copied = scratch.path().join(transport);
        let mut command = Command::new("skopeo");
        command.arg("--insecure-policy").arg("--tmpdir").arg(scratch.path()).arg("copy");
        command.arg(format!("{transport}:{}{of}", image.display())).arg(format!("dir:{}", copied.display()));
        support::run(&mut command, b"")?.expect_code(0)?;
        if !copied.join("manifest.json").is_file() {
            return Err(format!("nothing was copied from {transport}").into());
        }
    }
    Ok(())
}
