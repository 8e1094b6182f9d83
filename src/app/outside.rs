//! What goes out: pictures that requests name, and webhooks. One client under one policy.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::net::{Outgoing, Policy, PolicySettings, SystemNames};
use crate::webhooks::{Courier, Dispatcher, Webhooks};

/// The parts that reach the outside world.
#[derive(Clone)]
pub(super) struct Outside {
    courier: Courier,
    wake: Arc<Notify>,
}

impl Outside {
    pub(super) fn new(courier: Courier) -> Self {
        Self { courier, wake: Arc::new(Notify::new()) }
    }

    /// The client for pictures.
    pub(super) fn outgoing(&self) -> Outgoing {
        self.courier.outgoing.clone()
    }

    /// The verbs of callers.
    pub(super) fn webhooks(&self) -> Webhooks {
        Webhooks::new(self.courier.clone(), self.wake.clone())
    }

    /// Delivers until `end`.
    pub(super) fn start(&self, tasks: &TaskTracker, end: CancellationToken) {
        tasks.spawn(Dispatcher::new(self.courier.clone(), self.wake.clone()).run(end));
    }
}

/// The client under the configured policy. Fails if there is no TLS.
pub(super) fn outgoing(config: &config::Outgoing) -> Result<Outgoing, reqwest::Error> {
    let policy = Policy::new(PolicySettings {
        allow_cidrs: config.allow_cidrs.clone(),
        allow_hosts: config.allow_hosts.clone(),
        deny_hosts: config.deny_hosts.clone(),
        image_http: config.image_http,
        webhook_http: config.webhook_http,
        extra_ports: config.extra_ports.clone(),
    });
    Outgoing::new(policy, Arc::new(SystemNames))
}
