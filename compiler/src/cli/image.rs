//! `wasmelt image`: executables to a container image that holds nothing else.

use std::path::PathBuf;

use clap::Args;

use super::input::Input;
use super::{print_note, values};
use crate::error::{Error, Result};
use crate::oci::{self, Executable, Settings};
use crate::options::Emit;
use crate::output::Output;

/// Make a container image (OCI) of an executable, for `docker load`, podman, skopeo, Kubernetes
#[derive(Args, Debug)]
pub(super) struct ImageArgs {
    /// Executables for Linux that wasmelt made, one for each architecture
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Where the image goes, a tar file; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// The image's name: `registry.example/app:1.0`
    #[arg(short, long, value_name = "NAME[:TAG]", value_parser = values::image_name)]
    tag: Option<String>,

    /// The program's file in the image [default: the first file's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Who the program runs as, by numbers [default: 65532:65532]
    #[arg(long, value_name = "UID[:GID]", value_parser = values::user)]
    user: Option<(u32, u32)>,

    /// A TCP port that the program listens on
    #[arg(long, value_name = "PORT")]
    expose: Vec<u16>,

    /// A label
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::label)]
    label: Vec<(String, String)>,

    /// An argument of the program, which whoever starts it may replace
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    arg: Vec<String>,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Does it.
pub(super) fn execute(args: &ImageArgs) -> Result<()> {
    let inputs = args.files.iter().map(|file| {
        let mut input = Input::open(file)?;
        Ok((input.read()?, input, file.display().to_string()))
    });
    let inputs: Vec<_> = inputs.collect::<Result<_>>()?;
    let first = args.files.first().and_then(|file| file.file_name()).and_then(|name| name.to_str());
    let name = args.name.as_deref().or(first).filter(|name| is_file_name(name)).ok_or_else(|| {
        Error::usage("the program's file in the image needs a name, without folders and in UTF-8")
            .hint("`--name NAME` gives one")
    })?;
    let sink = Output::create(&args.output, Emit::Obj, inputs.first().map(|(_, input, _)| &input.file))?;
    let executables: Vec<_> =
        inputs.iter().map(|(bytes, _, source_name)| Executable { source_name, name, bytes }).collect();
    let defaults = Settings::default();
    let (user, group) = args.user.unwrap_or((defaults.user, defaults.group));
    let settings = Settings {
        name: args.tag.clone(),
        user,
        group,
        args: args.arg.clone(),
        ports: args.expose.clone(),
        labels: args.label.iter().cloned().collect(),
    };
    let image = oci::image(&executables, &settings)?;
    sink.write(&image.bytes)?;
    if !args.quiet {
        image.notes.iter().for_each(|note| print_note(&format!("note: {note}")));
        print_note(&format!("{} ({} bytes)", image.digest, image.bytes.len()));
    }
    Ok(())
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && name != "-" && !name.contains(['/', '\0'])
}
