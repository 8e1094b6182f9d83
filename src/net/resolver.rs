//! How a name becomes addresses that may be dialled. The HTTP client asks only this, and dials exactly what it answers:
//! what was checked is what is connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::policy::{Policy, Refusal};

/// The addresses of a name, on their way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Where names are looked up.
pub trait Names: Send + Sync {
    /// Every address of the name.
    fn lookup<'a>(&'a self, name: &'a str) -> Lookup<'a>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn lookup<'a>(&'a self, name: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// Names under the policy.
#[derive(Clone)]
pub(super) struct CheckedNames {
    names: Arc<dyn Names>,
    policy: Arc<Policy>,
}

/// A name without an address that may be dialled.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the name cannot be resolved")]
    Unresolved(#[source] io::Error),
    #[error("the name has no address")]
    Empty,
}

impl CheckedNames {
    pub(super) fn new(names: Arc<dyn Names>, policy: Arc<Policy>) -> Self {
        Self { names, policy }
    }

    /// All addresses of the name. One that is not allowed spoils the rest: a mixed answer is an attempt.
    pub(super) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, NameError> {
        let addresses = self.names.lookup(name).await.map_err(NameError::Unresolved)?;
        if addresses.is_empty() {
            return Err(NameError::Empty);
        }
        if addresses.iter().all(|address| self.policy.allows(*address)) {
            Ok(addresses)
        } else {
            Err(Refusal::Address.into())
        }
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = Self::resolve(&names, name.as_str()).await?;
            // Port 0 is replaced by the URL's.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<IpAddr>);

    impl Names for Fixed {
        fn lookup<'a>(&'a self, _name: &'a str) -> Lookup<'a> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    #[tokio::test]
    async fn one_private_address_spoils_the_answer() {
        let resolve = async |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            CheckedNames::new(Arc::new(Fixed(addresses)), Arc::new(Policy::default()))
                .resolve("a.example")
                .await
        };
        assert_eq!(resolve(&["8.8.8.8", "2606:4700::1"]).await.unwrap().len(), 2);
        assert!(matches!(resolve(&["8.8.8.8", "10.0.0.1"]).await, Err(NameError::Refused(Refusal::Address))));
        assert!(matches!(resolve(&["::ffff:127.0.0.1"]).await, Err(NameError::Refused(Refusal::Address))));
        assert!(matches!(resolve(&[]).await, Err(NameError::Empty)));
    }
}
