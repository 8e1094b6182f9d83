//! Webhooks in maps.

use std::collections::{BTreeMap, HashMap};

use super::Memory;
use crate::domain::clock::UnixMillis;
use crate::domain::id::{DeliveryId, EndpointId, EventId, ProjectId};
use crate::domain::webhook::{
    Attempt, CallbackSecrets, Delivery, Endpoint, EndpointChange, MAX_IN_FLIGHT, MAX_OF_PROJECT, Verdict,
};
use crate::store::query::cut;
use crate::store::{
    Claim, DeliveryPage, DeliveryQuery, DeliveryStore, EndpointStore, Order, Pending, StoreError,
};

#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    callbacks: BTreeMap<ProjectId, CallbackSecrets>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    leases: HashMap<DeliveryId, UnixMillis>,
}

impl EndpointStore for Memory {
    fn endpoints(&self, project: ProjectId) -> Pending<'_, Vec<Endpoint>> {
        self.run(|tables| {
            let endpoints = tables.webhooks.endpoints.values();
            Ok(endpoints.filter(|endpoint| endpoint.project == project).cloned().collect())
        })
    }

    fn endpoint(&self, project: ProjectId, endpoint: EndpointId) -> Pending<'_, Option<Endpoint>> {
        self.run(|tables| {
            let endpoint = tables.webhooks.endpoints.get(&endpoint);
            Ok(endpoint.filter(|endpoint| endpoint.project == project).cloned())
        })
    }

    fn add_endpoint(&self, endpoint: Endpoint) -> Pending<'_, ()> {
        self.write(move |tables| {
            if tables.webhooks.endpoints.contains_key(&endpoint.id) {
                return Err(StoreError::Exists);
            }
            tables.webhooks.endpoints.insert(endpoint.id, endpoint);
            Ok(())
        })
    }

    fn change_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        change: EndpointChange,
    ) -> Pending<'_, ()> {
        self.write(move |tables| {
            let endpoint = tables.webhooks.endpoints.get_mut(&endpoint);
            let endpoint =
                endpoint.filter(|endpoint| endpoint.project == project).ok_or(StoreError::NotFound)?;
            endpoint.apply(change);
            Ok(())
        })
    }

    fn remove_endpoint(&self, project: ProjectId, endpoint: EndpointId) -> Pending<'_, ()> {
        self.write(move |tables| {
            let tables = &mut tables.webhooks;
            if tables.endpoints.get(&endpoint).is_none_or(|found| found.project != project) {
                return Err(StoreError::NotFound);
            }
            tables.endpoints.remove(&endpoint);
            tables.deliveries.retain(|_, delivery| delivery.endpoint() != Some(endpoint));
            tables.drop_leases();
            Ok(())
        })
    }

    fn callback_secrets(&self, fresh: CallbackSecrets) -> Pending<'_, CallbackSecrets> {
        self.run(|tables| Ok(tables.webhooks.callbacks.entry(fresh.project).or_insert(fresh).clone()))
    }

    fn save_callback_secrets(&self, secrets: CallbackSecrets) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.webhooks.callbacks.insert(secrets.project, secrets);
            Ok(())
        })
    }
}

impl DeliveryStore for Memory {
    fn add_deliveries(&self, settles: Option<EventId>, deliveries: Vec<Delivery>) -> Pending<'_, ()> {
        self.run(|tables| {
            for delivery in deliveries {
                let twin = |other: &Delivery| {
                    other.id == delivery.id || other.event == delivery.event && other.to == delivery.to
                };
                if !tables.webhooks.deliveries.values().any(twin) {
                    tables.webhooks.deliveries.insert(delivery.id, delivery);
                }
            }
            if let Some(event) = settles {
                tables.settle(event);
            }
            Ok(())
        })
    }

    fn claim_deliveries(&self, claim: Claim) -> Pending<'_, Vec<Delivery>> {
        self.run(|tables| Ok(tables.webhooks.claim(claim)))
    }

    fn record_attempt(
        &self,
        delivery: DeliveryId,
        attempt: Attempt,
        verdict: Verdict,
    ) -> Pending<'_, Delivery> {
        self.run(|tables| {
            let tables = &mut tables.webhooks;
            let delivery = tables.deliveries.get_mut(&delivery).ok_or(StoreError::NotFound)?;
            let (first, at) = (delivery.attempts.is_empty(), attempt.at);
            delivery.record(attempt, verdict);
            tables.leases.remove(&delivery.id);
            let endpoint = delivery.endpoint().and_then(|endpoint| tables.endpoints.get_mut(&endpoint));
            if let Some(endpoint) = endpoint {
                endpoint.health.learn(verdict, first, at);
            }
            Ok(delivery.clone())
        })
    }

    fn delivery(&self, project: ProjectId, delivery: DeliveryId) -> Pending<'_, Option<Delivery>> {
        self.run(|tables| {
            let delivery = tables.webhooks.deliveries.get(&delivery);
            Ok(delivery.filter(|delivery| delivery.project == project).cloned())
        })
    }

    fn deliveries(&self, project: ProjectId, query: DeliveryQuery) -> Pending<'_, DeliveryPage> {
        self.run(|tables| {
            let mine = |delivery: &&Delivery| delivery.project == project && query.accepts(delivery);
            let all = tables.webhooks.deliveries.values();
            let most = query.limit as usize + 1;
            let page = match query.order {
                Order::Newest => all.rev().filter(mine).take(most).cloned().collect(),
                Order::Oldest => all.filter(mine).take(most).cloned().collect(),
            };
            let (deliveries, has_more) = cut(page, query.limit);
            Ok(DeliveryPage { deliveries, has_more })
        })
    }

    fn redeliver(&self, project: ProjectId, delivery: DeliveryId, at: UnixMillis) -> Pending<'_, Delivery> {
        self.run(|tables| {
            let delivery = tables.webhooks.deliveries.get_mut(&delivery);
            let delivery =
                delivery.filter(|delivery| delivery.project == project).ok_or(StoreError::NotFound)?;
            delivery.redeliver(at);
            Ok(delivery.clone())
        })
    }

    fn open_deliveries(&self) -> Pending<'_, u64> {
        self.run(|tables| {
            let open = |delivery: &&Delivery| delivery.next_attempt_at.is_some();
            Ok(tables.webhooks.deliveries.values().filter(open).count() as u64)
        })
    }

    fn forget_deliveries(&self, before: UnixMillis) -> Pending<'_, u64> {
        self.run(|tables| {
            let tables = &mut tables.webhooks;
            let count = tables.deliveries.len();
            tables.deliveries.retain(|_, delivery| delivery.created_at >= before);
            tables.drop_leases();
            Ok((count - tables.deliveries.len()) as u64)
        })
    }
}

impl Tables {
    /// A lease goes with its delivery.
    fn drop_leases(&mut self) {
        self.leases.retain(|id, _| self.deliveries.contains_key(id));
    }

    fn claim(&mut self, claim: Claim) -> Vec<Delivery> {
        let mut in_flight: HashMap<String, u32> = HashMap::new();
        let mut of_project: HashMap<ProjectId, u32> = HashMap::new();
        self.leases.retain(|_, until| *until > claim.now);
        for leased in self.leases.keys().filter_map(|id| self.deliveries.get(id)) {
            *in_flight.entry(leased.lane()).or_default() += 1;
            *of_project.entry(leased.project).or_default() += 1;
        }
        let mut due: Vec<&Delivery> = self
            .deliveries
            .values()
            .filter(|delivery| delivery.next_attempt_at.is_some_and(|at| at <= claim.now))
            .filter(|delivery| !self.leases.contains_key(&delivery.id))
            .collect();
        due.sort_by_key(|delivery| (delivery.next_attempt_at, delivery.id));
        let mut claimed = Vec::new();
        for delivery in due {
            let endpoint = delivery.endpoint().and_then(|endpoint| self.endpoints.get(&endpoint));
            let room = endpoint.map_or(MAX_IN_FLIGHT, Endpoint::room);
            let used = in_flight.entry(delivery.lane()).or_default();
            let all = of_project.entry(delivery.project).or_default();
            if *used < room && *all < MAX_OF_PROJECT && claimed.len() < claim.limit as usize {
                *used += 1;
                *all += 1;
                claimed.push(delivery.clone());
            }
        }
        self.leases.extend(claimed.iter().map(|delivery| (delivery.id, claim.lease_until)));
        claimed
    }
}
