//! Where the program may send requests that someone outside asked for. Pure: it parses, compares and answers,
//! and never resolves a name or opens a connection.

use std::net::IpAddr;

use url::{Host, Url};

use crate::domain::address::{Cidr, is_global};

/// 2048 bytes: the contract's limit for any URL parameter.
const MAX_URL_BYTES: usize = 2048;

/// Names that mean this machine or this network everywhere.
const LOCAL_SUFFIXES: [&str; 5] = ["localhost", "local", "internal", "home.arpa", "localdomain"];

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Fetching a picture that a request names.
    Image,
    /// Telling a receiver what happened.
    Webhook,
}

/// What the operator allows and denies. By default: the public internet, pictures over `http` too.
#[derive(Debug, Clone)]
pub struct PolicySettings {
    /// Blocks that are reachable although they are not global.
    pub allow_cidrs: Vec<Cidr>,
    /// Unless empty, the only hosts; a host listed here may also have a local name. `*.example.com` is every name below.
    pub allow_hosts: Vec<String>,
    /// Hosts never reached, the server's own names among them; `*.example.com` is every name below.
    pub deny_hosts: Vec<String>,
    /// Whether pictures come over plain `http` too.
    pub image_http: bool,
    /// Whether webhooks go over plain `http` too.
    pub webhook_http: bool,
    /// Ports besides 443 (and 80 for `http`).
    pub extra_ports: Vec<u16>,
}

/// The rules.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    settings: PolicySettings,
}

/// A URL that may be asked for, if its name resolves to addresses that may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
}

/// Why not. For the log; a client learns only that it was not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    #[error("not a URL")]
    NotAUrl,
    #[error("scheme not allowed")]
    Scheme,
    #[error("holds a user name or password")]
    UserInfo,
    #[error("holds a fragment")]
    Fragment,
    #[error("port not allowed")]
    Port,
    #[error("host name not allowed")]
    Host,
    #[error("address not allowed")]
    Address,
    #[error("redirects from https to http")]
    Downgrade,
    #[error("redirects too often")]
    TooManyRedirects,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            allow_cidrs: Vec::new(),
            allow_hosts: Vec::new(),
            deny_hosts: Vec::new(),
            image_http: true,
            webhook_http: false,
            extra_ports: Vec::new(),
        }
    }
}

impl Purpose {
    /// As the metric's label says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Webhook => "webhook",
        }
    }
}

impl Target {
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl Policy {
    pub fn new(settings: PolicySettings) -> Self {
        Self { settings }
    }

    /// Judges a URL by what it says. Whoever dials must judge the addresses behind a name with [`Self::allows`].
    pub fn check(&self, purpose: Purpose, text: &str) -> Result<Target, Refusal> {
        if text.len() > MAX_URL_BYTES {
            return Err(Refusal::TooLong);
        }
        // The parser would drop or turn these silently; nobody writes them in earnest.
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(Refusal::NotAUrl);
        }
        self.judge(purpose, Url::parse(text).map_err(|_| Refusal::NotAUrl)?)
    }

    /// Judges where an answer from `from` points to.
    pub fn check_redirect(&self, purpose: Purpose, from: &Target, location: &str) -> Result<Target, Refusal> {
        let next = from.url.join(location).map_err(|_| Refusal::NotAUrl)?;
        if from.url.scheme() == "https" && next.scheme() != "https" {
            return Err(Refusal::Downgrade);
        }
        self.check(purpose, next.as_str())
    }

    /// Whether a connection to that address may be opened.
    pub fn allows(&self, address: IpAddr) -> bool {
        is_global(address) || self.settings.allow_cidrs.iter().any(|block| block.contains(address))
    }

    fn judge(&self, purpose: Purpose, url: Url) -> Result<Target, Refusal> {
        let plain = match purpose {
            Purpose::Image => self.settings.image_http,
            Purpose::Webhook => self.settings.webhook_http,
        };
        if !(url.scheme() == "https" || url.scheme() == "http" && plain) {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(Refusal::Fragment);
        }
        let ports = if plain { &[443, 80][..] } else { &[443] };
        let port = url.port_or_known_default().ok_or(Refusal::Port)?;
        if !ports.contains(&port) && !self.settings.extra_ports.contains(&port) {
            return Err(Refusal::Port);
        }
        self.judge_host(&url)?;
        Ok(Target { url })
    }

    fn judge_host(&self, url: &Url) -> Result<(), Refusal> {
        let host = url.host().ok_or(Refusal::NotAUrl)?;
        let name = host.to_string();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let listed = self.settings.allow_hosts.iter().any(|pattern| matches(pattern, name));
        if self.settings.deny_hosts.iter().any(|pattern| matches(pattern, name)) {
            return Err(Refusal::Host);
        }
        if !self.settings.allow_hosts.is_empty() && !listed {
            return Err(Refusal::Host);
        }
        let allowed = match host {
            Host::Ipv4(address) => self.allows(address.into()),
            Host::Ipv6(address) => self.allows(address.into()),
            Host::Domain(_) if listed || is_public_name(name) => return Ok(()),
            Host::Domain(_) => return Err(Refusal::Host),
        };
        if allowed { Ok(()) } else { Err(Refusal::Address) }
    }
}

/// At least two labels, none empty, and not below a local suffix.
fn is_public_name(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    let local = LOCAL_SUFFIXES
        .iter()
        .any(|suffix| name == *suffix || name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')));
    labels.len() >= 2 && labels.iter().all(|label| !label.is_empty()) && !local
}

/// Whether the pattern (`host`, or `*.host` for every name below) means the name, which is in lower case.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(parent) => name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
        None => pattern.trim_end_matches('.') == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `image webhook url`, where the verdicts are `yes` or the refusal's name.
    const CORPUS: &str = include_str!("../../tests/fixtures/outgoing_urls.txt");

    fn verdict(result: Result<Target, Refusal>) -> String {
        result.map_or_else(|refusal| format!("{refusal:?}"), |_| "yes".to_owned())
    }

    #[test]
    fn every_url_of_the_corpus_gets_its_verdict() {
        let policy = Policy::default();
        let mut wrong = Vec::new();
        let mut count = 0;
        for line in CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut columns = line.splitn(3, ' ');
            let (image, webhook) = (columns.next().unwrap(), columns.next().unwrap());
            let url = columns.next().unwrap().replace("\\t", "\t").replace("\\n", "\n").replace("\\0", "\0");
            let got = [Purpose::Image, Purpose::Webhook].map(|purpose| verdict(policy.check(purpose, &url)));
            if got != [image, webhook] {
                wrong.push(format!("{} {} {url}", got[0], got[1]));
            }
            count += 1;
        }
        assert!(wrong.is_empty(), "{} other verdicts:\n{}", wrong.len(), wrong.join("\n"));
        assert!(count >= 200, "{count} URLs");
    }

    #[test]
    fn a_url_of_any_length_is_judged_by_its_length_first() {
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(Policy::default().check(Purpose::Image, &long), Err(Refusal::TooLong));
        assert!(Policy::default().check(Purpose::Image, &long[..MAX_URL_BYTES]).is_ok());
    }

    #[test]
    fn redirects_are_judged_like_first_urls_and_never_lose_encryption() {
        let policy = Policy::default();
        let from = policy.check(Purpose::Image, "https://example.com/a/b?c").unwrap();
        let to = |location: &str| verdict(policy.check_redirect(Purpose::Image, &from, location));
        assert_eq!(to("c.png"), "yes");
        assert_eq!(to("//cdn.example.com/x"), "yes");
        assert_eq!(to("https://other.example/x"), "yes");
        assert_eq!(to("http://example.com/x"), "Downgrade");
        assert_eq!(to("https://127.0.0.1/x"), "Address");
        assert_eq!(to("//localhost/"), "Host");
        assert_eq!(to("https://example.com:22/"), "Port");
        assert_eq!(to("https://a:b@example.com/"), "UserInfo");
        assert_eq!(to("file:///etc/passwd"), "Downgrade");
        assert_eq!(to("https://"), "NotAUrl");
        let plain = policy.check(Purpose::Image, "http://example.com/").unwrap();
        assert_eq!(verdict(policy.check_redirect(Purpose::Image, &plain, "file:///etc/passwd")), "Scheme");
        assert_eq!(verdict(policy.check_redirect(Purpose::Image, &plain, "https://example.com/")), "yes");
    }

    #[test]
    fn the_operator_opens_blocks_hosts_and_ports_and_closes_names() {
        let policy = Policy::new(PolicySettings {
            allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
            deny_hosts: vec!["api.example.com".to_owned(), "*.bad.example".to_owned()],
            webhook_http: true,
            extra_ports: vec![8443],
            ..PolicySettings::default()
        });
        let check = |url: &str| verdict(policy.check(Purpose::Webhook, url));
        assert_eq!(check("http://127.0.0.1:8443/"), "yes");
        assert_eq!(check("http://[::ffff:127.0.0.1]:80/"), "yes");
        assert_eq!(check("http://10.0.0.1/"), "Address");
        assert_eq!(check("https://API.example.com./"), "Host");
        assert_eq!(check("https://www.example.com/"), "yes");
        assert_eq!(check("https://x.y.bad.example/"), "Host");
        assert_eq!(check("https://bad.example/"), "yes");
        assert_eq!(check("https://notbad.example/"), "yes");
    }

    #[test]
    fn a_list_of_hosts_is_the_whole_world_and_may_name_local_ones() {
        let policy = Policy::new(PolicySettings {
            allow_hosts: vec!["hooks.corp.internal".to_owned(), "*.example.com".to_owned()],
            ..PolicySettings::default()
        });
        let check = |url: &str| verdict(policy.check(Purpose::Webhook, url));
        assert_eq!(check("https://hooks.corp.internal/"), "yes");
        assert_eq!(check("https://a.example.com/"), "yes");
        assert_eq!(check("https://example.com/"), "Host");
        assert_eq!(check("https://8.8.8.8/"), "Host");
        assert!(!policy.allows("10.0.0.1".parse().unwrap()), "a listed name opens no address");
    }
}
