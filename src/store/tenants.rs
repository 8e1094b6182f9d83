//! What is kept of tenants: organisations, projects, service accounts, keys, limits, the audit log, signing keys,
//! and answers to be repeated.

use super::{Order, Pending};
use crate::domain::audit::{AuditEntry, AuditKind};
use crate::domain::audit_chain::{AuditChain, ChainHead, ChainRow};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, KeyId, OrganizationId, ProjectId, ServiceAccountId};
use crate::domain::key::KeyRecord;
use crate::domain::limits::RateLimit;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::domain::token::SigningKey;

/// Organisations, projects, service accounts and their limits. A `save` inserts or replaces by id.
pub trait TenantStore: Send + Sync {
    /// Every organisation, oldest first.
    fn organizations(&self) -> Pending<'_, Vec<Organization>>;

    fn organization(&self, organization: OrganizationId) -> Pending<'_, Option<Organization>>;

    fn save_organization(&self, organization: Organization) -> Pending<'_, ()>;

    /// The projects of an organisation, oldest first.
    fn projects(&self, organization: OrganizationId) -> Pending<'_, Vec<Project>>;

    fn project(&self, project: ProjectId) -> Pending<'_, Option<Project>>;

    fn save_project(&self, project: Project) -> Pending<'_, ()>;

    /// The service accounts of a project, oldest first.
    fn accounts(&self, project: ProjectId) -> Pending<'_, Vec<ServiceAccount>>;

    fn save_account(&self, account: ServiceAccount) -> Pending<'_, ()>;

    fn delete_account(&self, account: ServiceAccountId) -> Pending<'_, ()>;

    /// What administrators set for a project: for all models first, then by model.
    fn rate_limits(&self, project: ProjectId) -> Pending<'_, Vec<RateLimit>>;

    fn save_rate_limit(&self, limit: RateLimit) -> Pending<'_, ()>;
}

/// The keys. No secret is among them.
pub trait KeyStore: Send + Sync {
    /// Found by the 16 characters in the key's text; revoked and expired ones too. That there is none takes as long to find.
    fn key_by_handle(&self, handle: String) -> Pending<'_, Option<KeyRecord>>;

    fn key(&self, key: KeyId) -> Pending<'_, Option<KeyRecord>>;

    /// The keys of one owner, oldest first.
    fn keys(&self, of: KeysOf) -> Pending<'_, Vec<KeyRecord>>;

    /// Inserts or replaces by id.
    fn save_key(&self, key: KeyRecord) -> Pending<'_, ()>;

    /// Notes that a key was used.
    fn touch_key(&self, key: KeyId, at: UnixMillis) -> Pending<'_, ()>;

    /// Every key that signs tokens or did, oldest first.
    fn signing_keys(&self) -> Pending<'_, Vec<SigningKey>>;

    /// Inserts or replaces by id.
    fn save_signing_key(&self, key: SigningKey) -> Pending<'_, ()>;
}

/// What was done by whom. Nothing here is ever changed or deleted, and every entry is sealed with the one before it.
pub trait AuditStore: Send + Sync {
    /// Adds an entry to the end of its chain.
    fn record(&self, entry: AuditEntry) -> Pending<'_, ()>;

    /// A page of an organisation's log, or of what belongs to none, and whether another follows.
    /// [`StoreError::NotFound`](super::StoreError::NotFound) if `after` is no entry of it.
    fn audit(&self, organization: Option<OrganizationId>, query: AuditQuery) -> Pending<'_, AuditPage>;

    /// The ends of all chains, as they were noted beside the entries.
    fn audit_heads(&self) -> Pending<'_, Vec<ChainHead>>;

    /// Up to `limit` entries of a chain behind the place `after`, in order.
    fn audit_rows(&self, chain: AuditChain, after: u64, limit: u32) -> Pending<'_, Vec<ChainRow>>;
}

/// Answers to requests that may be sent again, by owner, route and idempotency key.
pub trait AnswerStore: Send + Sync {
    /// The answer given at `not_before` or later.
    fn answer(&self, to: AnswerKey, not_before: UnixMillis) -> Pending<'_, Option<Answer>>;

    /// Keeps an answer in place of an older one.
    fn keep_answer(&self, to: AnswerKey, answer: Answer) -> Pending<'_, ()>;
}

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysOf {
    Project(ProjectId),
    /// Of the organisation's administrators; those of its projects are not among them.
    Organization(OrganizationId),
}

/// Which entries of an audit log to list. What is empty or absent narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    pub order: Order,
    /// The page begins behind this entry.
    pub after: Option<EventId>,
    pub limit: u32,
    pub kinds: Vec<AuditKind>,
    pub projects: Vec<ProjectId>,
    /// Inclusive.
    pub from: Option<UnixMillis>,
    /// Exclusive.
    pub to: Option<UnixMillis>,
}

/// A page of an audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    pub has_more: bool,
}

/// Which request an answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// The project or organisation that asked.
    pub owner: String,
    /// Method and path.
    pub route: String,
    pub key: String,
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Digest of what was asked for.
    pub fingerprint: String,
    pub answered_at: UnixMillis,
    /// The body, encrypted by whoever keeps it.
    pub sealed: String,
}

impl AuditQuery {
    /// Whether the entry is wanted, wherever the page begins.
    pub fn accepts(&self, entry: &AuditEntry) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
            && (self.projects.is_empty()
                || entry.project.is_some_and(|project| self.projects.contains(&project)))
            && self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
    }
}
