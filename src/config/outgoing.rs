//! `[outgoing]`: where the server may go on behalf of its users, for pictures and webhooks.

use super::sources::Section;
use crate::domain::address::Cidr;

/// What is open beyond the public internet, and what is closed within it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Private blocks that may be reached all the same. `WANSERVE_OUTGOING_ALLOW_CIDRS`, default empty: a request must not
    /// open a way into the operator's network.
    pub allow_cidrs: Vec<Cidr>,
    /// If not empty, the only hosts; `*.example.com` is every name below. `WANSERVE_OUTGOING_ALLOW_HOSTS`, default empty.
    pub allow_hosts: Vec<String>,
    /// Hosts never reached; name the server's own here. `WANSERVE_OUTGOING_DENY_HOSTS`, default empty.
    pub deny_hosts: Vec<String>,
    /// Ports besides 443, and 80 for `http`. `WANSERVE_OUTGOING_EXTRA_PORTS`, default empty.
    pub extra_ports: Vec<u16>,
    /// Pictures over plain `http` too. `WANSERVE_OUTGOING_IMAGE_HTTP`, default `true`: they are checked by what they are.
    pub image_http: bool,
    /// Webhooks over plain `http` too. `WANSERVE_OUTGOING_WEBHOOK_HTTP`, default `false`: they say who made what.
    pub webhook_http: bool,
}

impl Outgoing {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            allow_cidrs: section.field("allow_cidrs", Vec::new()),
            allow_hosts: section.field("allow_hosts", Vec::new()),
            deny_hosts: section.field("deny_hosts", Vec::new()),
            extra_ports: section.field("extra_ports", Vec::new()),
            image_http: section.field("image_http", true),
            webhook_http: section.field("webhook_http", false),
        }
    }
}
