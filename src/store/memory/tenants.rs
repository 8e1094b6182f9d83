//! Tenants, keys, the audit log and answers in maps.

use std::collections::{BTreeMap, HashMap};

use super::Memory;
use crate::domain::audit::AuditEntry;
use crate::domain::audit_chain::{AuditChain, AuditColumns, ChainHead, ChainRow};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, KeyId, OrganizationId, ProjectId, ServiceAccountId, SigningKeyId};
use crate::domain::key::{KeyOwner, KeyRecord};
use crate::domain::limits::RateLimit;
use crate::domain::model::ModelId;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::domain::token::SigningKey;
use crate::store::query::cut;
use crate::store::{
    Answer, AnswerKey, AnswerStore, AuditPage, AuditQuery, AuditStore, KeyStore, KeysOf, Order, Pending,
    StoreError, TenantStore,
};

#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    organizations: BTreeMap<OrganizationId, Organization>,
    projects: BTreeMap<ProjectId, Project>,
    accounts: BTreeMap<ServiceAccountId, ServiceAccount>,
    limits: BTreeMap<(ProjectId, Option<ModelId>), RateLimit>,
    keys: BTreeMap<KeyId, KeyRecord>,
    audit: BTreeMap<EventId, AuditEntry>,
    /// The same entries in order, sealed.
    chains: BTreeMap<AuditChain, (ChainHead, Vec<ChainRow>)>,
    signing_keys: BTreeMap<SigningKeyId, SigningKey>,
    pub(super) answers: HashMap<AnswerKey, Answer>,
}

impl TenantStore for Memory {
    fn organizations(&self) -> Pending<'_, Vec<Organization>> {
        self.run(|tables| Ok(tables.tenants.organizations.values().cloned().collect()))
    }

    fn organization(&self, organization: OrganizationId) -> Pending<'_, Option<Organization>> {
        self.run(|tables| Ok(tables.tenants.organizations.get(&organization).cloned()))
    }

    fn save_organization(&self, organization: Organization) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.organizations.insert(organization.id, organization);
            Ok(())
        })
    }

    fn projects(&self, organization: OrganizationId) -> Pending<'_, Vec<Project>> {
        self.run(|tables| {
            let projects = tables.tenants.projects.values();
            Ok(projects.filter(|project| project.organization == organization).cloned().collect())
        })
    }

    fn project(&self, project: ProjectId) -> Pending<'_, Option<Project>> {
        self.run(|tables| Ok(tables.tenants.projects.get(&project).cloned()))
    }

    fn save_project(&self, project: Project) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.projects.insert(project.id, project);
            Ok(())
        })
    }

    fn accounts(&self, project: ProjectId) -> Pending<'_, Vec<ServiceAccount>> {
        self.run(|tables| {
            let accounts = tables.tenants.accounts.values();
            Ok(accounts.filter(|account| account.project == project).cloned().collect())
        })
    }

    fn save_account(&self, account: ServiceAccount) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.accounts.insert(account.id, account);
            Ok(())
        })
    }

    fn delete_account(&self, account: ServiceAccountId) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.accounts.remove(&account);
            Ok(())
        })
    }

    fn rate_limits(&self, project: ProjectId) -> Pending<'_, Vec<RateLimit>> {
        self.run(|tables| {
            let limits = tables.tenants.limits.values();
            Ok(limits.filter(|limit| limit.project == project).cloned().collect())
        })
    }

    fn save_rate_limit(&self, limit: RateLimit) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.limits.insert((limit.project, limit.model.clone()), limit);
            Ok(())
        })
    }
}

impl KeyStore for Memory {
    fn key_by_handle(&self, handle: String) -> Pending<'_, Option<KeyRecord>> {
        self.run(|tables| Ok(tables.tenants.keys.values().find(|key| key.handle == handle).cloned()))
    }

    fn key(&self, key: KeyId) -> Pending<'_, Option<KeyRecord>> {
        self.run(|tables| Ok(tables.tenants.keys.get(&key).cloned()))
    }

    fn keys(&self, of: KeysOf) -> Pending<'_, Vec<KeyRecord>> {
        let meant = move |key: &&KeyRecord| match (of, key.owner) {
            (KeysOf::Project(project), KeyOwner::Project { scope, .. }) => scope.project == project,
            (KeysOf::Organization(own), KeyOwner::Admin { organization }) => organization == own,
            (_, KeyOwner::Project { .. } | KeyOwner::Admin { .. } | KeyOwner::Operator) => false,
        };
        self.run(|tables| Ok(tables.tenants.keys.values().filter(meant).cloned().collect()))
    }

    fn save_key(&self, key: KeyRecord) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.keys.insert(key.id, key);
            Ok(())
        })
    }

    fn touch_key(&self, key: KeyId, at: UnixMillis) -> Pending<'_, ()> {
        self.run(|tables| {
            if let Some(key) = tables.tenants.keys.get_mut(&key) {
                key.last_used_at = Some(at);
            }
            Ok(())
        })
    }

    fn signing_keys(&self) -> Pending<'_, Vec<SigningKey>> {
        self.run(|tables| Ok(tables.tenants.signing_keys.values().cloned().collect()))
    }

    fn save_signing_key(&self, key: SigningKey) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.signing_keys.insert(key.id, key);
            Ok(())
        })
    }
}

impl AuditStore for Memory {
    fn record(&self, entry: AuditEntry) -> Pending<'_, ()> {
        self.write(move |tables| tables.tenants.append(entry))
    }

    fn audit(&self, organization: Option<OrganizationId>, query: AuditQuery) -> Pending<'_, AuditPage> {
        self.run(|tables| {
            let own = |entry: &&AuditEntry| entry.organization == organization;
            let log = &tables.tenants.audit;
            if let Some(after) = query.after
                && log.get(&after).filter(own).is_none()
            {
                return Err(StoreError::NotFound);
            }
            let mut entries: Vec<_> =
                log.values().filter(own).filter(|entry| query.accepts(entry)).cloned().collect();
            match query.order {
                Order::Oldest => entries.retain(|entry| query.after.is_none_or(|after| entry.id > after)),
                Order::Newest => {
                    entries.reverse();
                    entries.retain(|entry| query.after.is_none_or(|after| entry.id < after));
                }
            }
            let (entries, has_more) = cut(entries, query.limit);
            Ok(AuditPage { entries, has_more })
        })
    }

    fn audit_heads(&self) -> Pending<'_, Vec<ChainHead>> {
        self.run(|tables| {
            let mut heads: Vec<_> = tables.tenants.chains.values().map(|(head, _)| *head).collect();
            heads.sort_by_key(|head| head.chain.to_string());
            Ok(heads)
        })
    }

    fn audit_rows(&self, chain: AuditChain, after: u64, limit: u32) -> Pending<'_, Vec<ChainRow>> {
        self.run(|tables| {
            let rows = tables.tenants.chains.get(&chain).into_iter().flat_map(|(_, rows)| rows);
            Ok(rows.filter(|row| row.number > after).take(limit as usize).cloned().collect())
        })
    }
}

impl Tables {
    /// Adds an entry to the end of its chain. Refused, it has written nothing.
    pub(super) fn append(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        if self.audit.contains_key(&entry.id) {
            return Err(StoreError::Exists);
        }
        let chain = AuditChain::of(&entry);
        let record = serde_json::to_string(&entry).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let (head, rows) = self.chains.entry(chain).or_insert_with(|| (ChainHead::start(chain), Vec::new()));
        *head = head.grown_by(&record);
        let columns = AuditColumns::of(&entry);
        rows.push(ChainRow { number: head.number, seal: head.seal.to_string(), record, columns });
        self.audit.insert(entry.id, entry);
        Ok(())
    }
}

impl AnswerStore for Memory {
    fn answer(&self, to: AnswerKey, not_before: UnixMillis) -> Pending<'_, Option<Answer>> {
        self.run(|tables| {
            let answer = tables.tenants.answers.get(&to);
            Ok(answer.filter(|answer| answer.answered_at >= not_before).cloned())
        })
    }

    fn keep_answer(&self, to: AnswerKey, answer: Answer) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.tenants.answers.insert(to, answer);
            Ok(())
        })
    }
}
