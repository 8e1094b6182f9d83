//! What a project may do now: whether it and its organisation are open, and the limits that hold for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::JobsError;
use super::recent::Recent;
use crate::domain::clock::{Clock, UnixMillis};
use crate::domain::id::ProjectId;
use crate::domain::key::ProjectScope;
use crate::domain::limits::{Allowance, Caps, OrganizationLimits, RateLimit, Window};
use crate::domain::model::ModelId;
use crate::store::{ActiveGate, Gates, Owner, SecondsGate, Store, once_durable};

/// A project as it stands. One that is in no store may do what the server allows by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tenant {
    pub closed: Option<Closed>,
    /// For all models together.
    pub allowance: Allowance,
    /// What is set for single models; it holds besides.
    pub models: BTreeMap<ModelId, Allowance>,
    pub organization: OrganizationLimits,
}

/// Why nothing may be done in a project's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    Archived,
    /// Its organisation is suspended.
    Suspended,
}

/// All projects of the installation; clones share what was read.
#[derive(Clone)]
pub struct Tenants {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    base: Allowance,
    recent: Arc<Recent<ProjectId, Arc<Tenant>>>,
}

impl Tenants {
    /// `base` holds for projects of which nothing else was set.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, base: Allowance) -> Self {
        Self { store, clock, base, recent: Arc::default() }
    }

    /// The project, as it was a moment ago at most.
    pub async fn get(&self, scope: ProjectScope) -> Result<Arc<Tenant>, JobsError> {
        let now = self.clock.monotonic();
        if let Some(tenant) = self.recent.get(&scope.project, now) {
            return Ok(tenant);
        }
        let organization = self.store.organization(scope.organization).await?;
        let project = self.store.project(scope.project).await?;
        let set = self.store.rate_limits(scope.project).await?;
        let suspended = organization.as_ref().is_some_and(|organization| organization.suspended_at.is_some());
        let archived = project.is_some_and(|project| project.archived_at.is_some());
        let closed = match (suspended, archived) {
            (true, _) => Some(Closed::Suspended),
            (false, true) => Some(Closed::Archived),
            (false, false) => None,
        };
        let (allowance, models) = split(set, self.base);
        let organization = organization.map(|organization| organization.limits).unwrap_or_default();
        let tenant = Arc::new(Tenant { closed, allowance, models, organization });
        self.recent.put(scope.project, tenant.clone(), now);
        Ok(tenant)
    }

    /// What holds for a project now, from the store: for all models, and by model.
    pub async fn limits(
        &self,
        project: ProjectId,
    ) -> Result<(Allowance, BTreeMap<ModelId, Allowance>), JobsError> {
        Ok(split(self.store.rate_limits(project).await?, self.base))
    }

    /// Sets numbers of a project, for all models or for one; those that are not set stay.
    pub async fn set_limit(
        &self,
        project: ProjectId,
        model: Option<ModelId>,
        changes: Caps,
    ) -> Result<Allowance, JobsError> {
        let known = self.store.rate_limits(project).await?;
        let before = known.into_iter().find(|limit| limit.model == model).map(|limit| limit.caps);
        let caps = before.unwrap_or_default().changed_by(changes);
        let base = if model.is_some() { Allowance::default() } else { self.base };
        self.store.save_rate_limit(RateLimit { project, model, caps }).await?;
        let recent = self.recent.clone();
        once_durable(move || recent.forget(&project));
        Ok(caps.over(base))
    }

    /// Something about projects or organisations was changed here: nothing that was read before is believed.
    pub fn changed(&self) {
        let recent = self.recent.clone();
        once_durable(move || recent.clear());
    }
}

fn split(set: Vec<RateLimit>, base: Allowance) -> (Allowance, BTreeMap<ModelId, Allowance>) {
    let mut all = base;
    let mut models = BTreeMap::new();
    for limit in set {
        match limit.model {
            None => all = limit.caps.over(base),
            Some(model) => {
                models.insert(model, limit.caps.over(Allowance::default()));
            }
        }
    }
    (all, models)
}

impl Tenant {
    /// What must have room for a job of `model`. `most_active` is a lower limit that the caller brings along.
    pub fn gates(
        &self,
        scope: ProjectScope,
        model: &ModelId,
        most_active: Option<u32>,
        now: UnixMillis,
    ) -> Gates {
        let mut gates = Gates::default();
        let of_model = self.models.get(model).copied().unwrap_or_default();
        for (model, allowance) in [(None, self.allowance), (Some(model.clone()), of_model)] {
            let own = allowance.active_jobs.map(|limit| limit.get());
            let most = if model.is_none() { least(own, most_active) } else { own };
            gates.active.extend(most.map(|most| ActiveGate { model: model.clone(), most }));
            let owner = Owner::Project(scope.project);
            let windows = [
                (allowance.gpu_seconds_per_day, Window::day(now)),
                (allowance.gpu_seconds_per_month, Window::month(now)),
            ];
            gates.seconds.extend(windows.into_iter().filter_map(|(limit, window)| {
                Some(SecondsGate {
                    owner,
                    model: model.clone(),
                    window,
                    most_ms: u64::from(limit?.get()) * 1000,
                })
            }));
        }
        let owner = Owner::Organization(scope.organization);
        let windows = [
            (self.organization.gpu_seconds_per_day, Window::day(now)),
            (self.organization.gpu_seconds_per_month, Window::month(now)),
        ];
        gates.seconds.extend(windows.into_iter().filter_map(|(limit, window)| {
            Some(SecondsGate { owner, model: None, window, most_ms: u64::from(limit?.get()) * 1000 })
        }));
        gates
    }
}

fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
