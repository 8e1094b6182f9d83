//! `wanserve models`: what is there, import of published checkpoints, verification.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::catalog::library;
use super::confine::{again_confined, confine};
use crate::config::{Config, Flags, Sources};
use crate::domain::model::ModelId;
use crate::engine::weights::{Import, Library, Model, SYNTHETIC_MODELS, SYNTHETIC_PREFIX, verify};

/// List, import and verify models
#[derive(Debug, clap::Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ModelsCommand {
    /// Every model found, and the synthetic ones
    List(ModelsFolders),
    /// Turn published checkpoints into a model folder
    Import(Box<ImportArgs>),
    /// Compare a model's files with its manifest: length, SHA-256, every tensor
    Verify(VerifyArgs),
}

/// Where models are looked for.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ModelsFolders {
    /// Folder that holds a folder for each model; may be given several times [default: as configured, and beside the program]
    #[arg(long = "models-dir", value_name = "DIR")]
    folders: Vec<PathBuf>,
}

impl ModelsFolders {
    /// The folders named; without any, those of the configuration.
    pub(super) fn library(&self) -> Result<Library> {
        if !self.folders.is_empty() {
            return Ok(Library::new(self.folders.clone()));
        }
        let config = Config::load(Sources::of_process(None, Flags::default()))?;
        Ok(library(&config.models))
    }
}

/// The models folder of a clone.
const DEFAULT_FOLDER: &str = "models";

#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// Transformer (.pth or .safetensors); of a pair, the high-noise one
    #[arg(long, value_name = "FILE")]
    dit: PathBuf,
    /// Low-noise transformer of a pair
    #[arg(long, value_name = "FILE")]
    dit_low: Option<PathBuf>,
    /// Autoencoder, published as Wan2.1_VAE.pth
    #[arg(long, value_name = "FILE")]
    vae: PathBuf,
    /// Text encoder, published as models_t5_umt5-xxl-enc-bf16.pth
    #[arg(long, value_name = "FILE")]
    text_encoder: PathBuf,
    /// The text encoder's tokenizer.json
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Name of the model, such as turbowan2.1-t2v-1.3b-480p
    #[arg(long)]
    id: String,
    /// Folder in which the model's folder is made
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    models_dir: PathBuf,
    /// JSON with the shapes of a model that is not a published one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set in the process that does the work
    #[arg(long, hide = true)]
    confined: bool,
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// The model's id
    id: String,
    #[command(flatten)]
    folders: ModelsFolders,
}

/// Prints to standard output; the exit status says whether all is well.
pub(super) fn run_models(args: ModelsArgs) -> Result<ExitCode> {
    match args.command {
        ModelsCommand::List(folders) => list(&folders.library()?),
        ModelsCommand::Import(args) => import(*args),
        ModelsCommand::Verify(args) => verify_model(&args.folders.library()?.find(&args.id)?),
    }
}

fn list(library: &Library) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for found in library.list() {
        match found {
            Ok(model) => writeln!(out, "{}", line(&model))?,
            Err(error) => {
                writeln!(std::io::stderr(), "{error}")?;
                code = ExitCode::FAILURE;
            }
        }
    }
    for name in SYNTHETIC_MODELS {
        writeln!(out, "{SYNTHETIC_PREFIX}{name}  random weights")?;
    }
    Ok(code)
}

/// Id, what it makes, its best resolution and where it is.
fn line(model: &Model) -> String {
    let abilities = model.capabilities();
    let operations: Vec<_> = abilities.operations.iter().map(|operation| operation.as_str()).collect();
    let folder = model.folder().map(|folder| folder.display().to_string()).unwrap_or_default();
    format!("{}  {}  {}  {folder}", model.id(), operations.join(","), abilities.best_resolution.as_str())
}

fn import(args: ImportArgs) -> Result<ExitCode> {
    if !args.confined {
        let ended = again_confined("--confined")?;
        return Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let created = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let import = Import {
        transformer: args.dit,
        low_transformer: args.dit_low,
        vae: args.vae,
        text_encoder: args.text_encoder,
        tokenizer: args.tokenizer,
        description: args.config,
        id: ModelId::new(&args.id),
        models_folder: args.models_dir,
        created: created.as_secs() as i64,
    };
    confine(import.inputs())?;
    let manifest = import.run()?;
    let mut out = std::io::stdout().lock();
    for entry in manifest.files() {
        writeln!(out, "{}  {}  {} bytes", entry.sha256, entry.file.display(), entry.bytes)?;
    }
    writeln!(
        out,
        "{} is ready in {}",
        manifest.id,
        import.models_folder.join(manifest.id.as_str()).display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn verify_model(model: &Model) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for file in verify(model) {
        match file.outcome {
            Ok(()) => writeln!(out, "ok      {}  {} bytes", file.path.display(), file.bytes)?,
            Err(error) => {
                writeln!(out, "broken  {}: {error}", file.path.display())?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
