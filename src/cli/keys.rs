//! `wanserve keys`: makes keys in a data folder, also while a server runs on it.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;

use super::settings::SettingsArgs;
use crate::app::{DataFolder, open_store_beside};
use crate::domain::audit::{Actor, AuditKind};
use crate::domain::clock::{Clock, Random};
use crate::domain::key::{KeyOwner, KeyRecord, KeyText, ProjectScope, Scope};
use crate::jobs::{AuditLog, Deed, JobsError, KeyTerms, Keys, first_start};
use crate::scheduler::{SystemClock, SystemRandom};
use crate::store::{Store, together};

/// Make keys in a data folder
#[derive(Debug, clap::Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key; it is shown this once
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What the key opens
    #[arg(long, value_enum, default_value_t = Kind::Project)]
    kind: Kind,
    /// What the key is called in lists
    #[arg(long, default_value = "command line")]
    name: String,
    /// Print one JSON object instead of the bare key
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// `/v1` of the first project
    Project,
    /// `/v1/organization` of the first organisation
    Admin,
    /// `/admin/v1` of the installation
    Operator,
}

/// Makes the key and prints it.
pub(super) fn run_keys(args: KeysArgs) -> Result<ExitCode> {
    let Verb::Create(create) = args.verb;
    let config = create.settings.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let line = runtime.block_on(async {
        let folder = DataFolder::open(&config.data.dir)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let pepper = folder.secrets(&config.auth, random.as_ref())?.pepper;
        let store: Arc<dyn Store> = Arc::new(open_store_beside(&config, &folder).await?);
        let keys = Keys::new(store.clone(), clock.clone(), random.clone(), pepper);
        let audit = AuditLog::new(store.clone(), clock.clone(), random.clone());
        first_start(&store, &keys, &audit, clock.as_ref(), random.as_ref(), Actor::Shell).await?;
        let owner = owner(store.as_ref(), create.kind).await?;
        let terms = KeyTerms { name: create.name, owner, scopes: vec![Scope::All], expires_at: None };
        let (record, text) = together(&*store, async {
            let (record, text) = keys.create(terms).await?;
            audit.note(deed(&record)).await?;
            Ok::<_, JobsError>((record, text))
        })
        .await?;
        anyhow::Ok(if create.json { as_json(&record, &text) } else { text.reveal().to_owned() })
    })?;
    writeln!(std::io::stdout(), "{line}")?;
    Ok(ExitCode::SUCCESS)
}

/// Of the first organisation and project, which every data folder has.
async fn owner(store: &dyn Store, kind: Kind) -> Result<KeyOwner> {
    if let Kind::Operator = kind {
        return Ok(KeyOwner::Operator);
    }
    let organizations = store.organizations().await?;
    let organization = organizations.first().context("the data folder has no organisation")?.id;
    if let Kind::Admin = kind {
        return Ok(KeyOwner::Admin { organization });
    }
    let projects = store.projects(organization).await?;
    let project = projects.first().context("the organisation has no project")?.id;
    let accounts = store.accounts(project).await?;
    let account = accounts.first().context("the project has no service account")?.id;
    Ok(KeyOwner::Project { scope: ProjectScope { organization, project }, account })
}

fn deed(record: &KeyRecord) -> Deed {
    let (organization, project, kind) = match record.owner {
        KeyOwner::Project { scope, .. } => {
            (Some(scope.organization), Some(scope.project), AuditKind::ApiKeyCreated)
        }
        KeyOwner::Admin { organization } => (Some(organization), None, AuditKind::AdminApiKeyCreated),
        KeyOwner::Operator => (None, None, AuditKind::OperatorKeyCreated),
    };
    let (subject, detail) = (record.id.to_string(), Some(record.name.clone()));
    Deed { organization, project, kind, actor: Actor::Shell, subject, detail }
}

fn as_json(record: &KeyRecord, text: &KeyText) -> String {
    let (organization, project) = match record.owner {
        KeyOwner::Project { scope, .. } => (Some(scope.organization), Some(scope.project)),
        KeyOwner::Admin { organization } => (Some(organization), None),
        KeyOwner::Operator => (None, None),
    };
    json!({
        "id": record.id,
        "kind": text.kind(),
        "name": record.name,
        "value": text.reveal(),
        "redacted_value": record.redacted,
        "organization_id": organization,
        "project_id": project,
        "created_at": record.created_at.seconds(),
    })
    .to_string()
}
