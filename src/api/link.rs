//! Addresses that give a video's file to whoever has them, for a while: the storage's own where it has some,
//! else one of this server that carries a signature.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::errors::ApiError;
use super::routes::videos::disposition;
use super::state::Api;
use crate::domain::asset::Variant;
use crate::domain::clock::UnixMillis;
use crate::domain::id::VideoId;
use crate::domain::key::ProjectScope;
use crate::jobs::Content;

/// Keeps these signatures apart from everything else that is signed with the same key.
const PURPOSE: &str = "download";

/// An address and when it stops working.
pub(crate) struct Link {
    pub(crate) url: String,
    pub(crate) expires_at: UnixMillis,
}

/// Signs addresses of this server.
#[derive(Clone)]
pub struct LinkSigner(Vec<u8>);

/// What an address of this server gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scope: ProjectScope,
    pub(crate) video: VideoId,
    pub(crate) variant: Variant,
    /// In Unix seconds.
    pub(crate) expires: u64,
}

/// An address for the file, which dies with the file at the latest.
pub(crate) async fn to(
    api: &Api,
    request: &HttpRequest,
    scope: ProjectScope,
    video: VideoId,
    content: &Content,
    lives: Duration,
) -> Result<Link, ApiError> {
    let now = api.clock.now();
    let lives = lives.min(content.expires_at.since(now)).max(Duration::from_secs(1));
    let expires_at = now.after(lives);
    let variant = content.asset.variant;
    let url = match api.jobs.link(content, lives, &disposition(video, variant)).await? {
        Some(url) => url,
        None => {
            let target = Target { scope, video, variant, expires: expires_at.seconds() };
            format!("{}{}", base(api, request), api.links.path(target))
        }
    };
    Ok(Link { url, expires_at })
}

/// Where clients reach this server: as configured, else as this client did.
fn base(api: &Api, request: &HttpRequest) -> String {
    match &api.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            format!("http://{}", host.unwrap_or("localhost"))
        }
    }
}

impl LinkSigner {
    pub fn new(key: Vec<u8>) -> Self {
        Self(key)
    }

    fn path(&self, target: Target) -> String {
        let Target { scope, video, variant, expires } = target;
        let signature = URL_SAFE_NO_PAD.encode(self.mac(target).finalize().into_bytes());
        let (organization, project, variant) = (scope.organization, scope.project, variant.as_str());
        format!(
            "/download/{organization}/{project}/{video}/{variant}?expires={expires}&signature={signature}"
        )
    }

    /// Whether that signature was made here for exactly that.
    pub(crate) fn accepts(&self, target: Target, signature: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature);
        signature.is_ok_and(|signature| self.mac(target).verify_slice(&signature).is_ok())
    }

    fn mac(&self, target: Target) -> Hmac<Sha256> {
        let Target { scope, video, variant, expires } = target;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        let text = format!(
            "{PURPOSE}\n{}\n{}\n{video}\n{}\n{expires}",
            scope.organization,
            scope.project,
            variant.as_str()
        );
        mac.update(text.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ID_RANDOM_BYTES;
    use crate::domain::sample;

    #[test]
    fn a_signature_is_good_for_one_file_and_one_time() {
        let signer = LinkSigner::new(b"key".to_vec());
        let video = VideoId::new(1, [0; ID_RANDOM_BYTES]);
        let target = Target { scope: sample::scope(1), video, variant: Variant::Video, expires: 1000 };
        let path = signer.path(target);
        let (_, signature) = path.split_once("&signature=").unwrap();
        assert!(signer.accepts(target, signature));
        for other in [
            Target { scope: sample::scope(2), ..target },
            Target { variant: Variant::Thumbnail, ..target },
            Target { expires: 1001, ..target },
            Target { video: VideoId::new(2, [0; ID_RANDOM_BYTES]), ..target },
        ] {
            assert!(!signer.accepts(other, signature));
        }
        assert!(!LinkSigner::new(b"other".to_vec()).accepts(target, signature));
        assert!(!signer.accepts(target, "") && !signer.accepts(target, "AAAA"));
    }
}
