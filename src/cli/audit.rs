//! `wanserve audit`: follows the chains of the audit log, and hands it to other programs.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::settings::SettingsArgs;
use crate::app::{DataFolder, open_store_beside};
use crate::domain::audit_chain::{ChainHead, ChainRow};
use crate::store::{AuditStore, FollowedChain, SqlStore, follow_chains};

/// Check or export the audit log of a data folder, also while a server runs on it
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Follow every chain from its first entry; fails if an entry was changed, taken out or moved
    Verify(Verify),
    /// Print every entry as a line of JSON, chain by chain
    Export(Export),
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// Heads that an earlier run printed with --json: they must still be in the log
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Print the head of each chain as a line of JSON, to be kept where the log is not
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Entries that are read at once.
const ROWS_AT_ONCE: u32 = 1000;

/// Does what was asked.
pub(super) fn run_audit(args: AuditArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.verb {
        Verb::Verify(verify) => runtime.block_on(run_verify(verify)),
        Verb::Export(export) => runtime.block_on(run_export(export)),
    }
}

async fn run_verify(args: Verify) -> Result<ExitCode> {
    let known = args.since.map(read_heads).transpose()?.unwrap_or_default();
    let store = open(args.settings).await?;
    let chains = follow_chains(&store, &known).await?;
    let mut out = io::stdout().lock();
    for FollowedChain { head, fault } in &chains {
        match fault {
            Some(fault) => writeln!(io::stderr(), "{}: {fault}", head.chain)?,
            None if args.json => writeln!(out, "{}", serde_json::to_string(head)?)?,
            None => writeln!(out, "{}: {} entries, sealed {}", head.chain, head.number, head.seal)?,
        }
    }
    let whole = chains.iter().all(|chain| chain.fault.is_none());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run_export(args: Export) -> Result<ExitCode> {
    let store = open(args.settings).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for head in store.audit_heads().await? {
        let mut last = 0;
        loop {
            let rows = store.audit_rows(head.chain, last, ROWS_AT_ONCE).await?;
            let Some(newest) = rows.last() else { break };
            last = newest.number;
            for ChainRow { number, record, .. } in &rows {
                writeln!(out, "{{\"chain\":\"{}\",\"number\":{number},\"entry\":{record}}}", head.chain)?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn open(settings: SettingsArgs) -> Result<SqlStore> {
    let config = settings.load()?;
    let folder = DataFolder::open(&config.data.dir)?;
    Ok(open_store_beside(&config, &folder).await?)
}

fn read_heads(path: PathBuf) -> Result<Vec<ChainHead>> {
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let heads = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
    heads.collect::<Result<_, _>>().with_context(|| format!("{} holds no heads", path.display()))
}
