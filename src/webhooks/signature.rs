//! Signatures as <https://www.standardwebhooks.com> describes them, which the official SDKs check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::secret::SigningSecret;

/// The value of `webhook-signature`: one `v1,…` for each secret. `timestamp` is in Unix seconds.
pub fn signature(secrets: &[SigningSecret], id: &str, timestamp: u64, body: &str) -> String {
    let sign = |secret: &SigningSecret| {
        let mac =
            <Hmac<Sha256> as Mac>::new_from_slice(secret.bytes()).expect("HMAC takes a key of any length");
        let mac = mac.chain_update(format!("{id}.{timestamp}.")).chain_update(body).finalize();
        format!("v1,{}", STANDARD.encode(mac.into_bytes()))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::secret::tests::Counting;
    use super::*;

    const ID: &str = "evt_0190f0c4a8e27c3c9d1e5b6f7a8b9c0d";
    const BODY: &str = r#"{"id":"evt_0190f0c4a8e27c3c9d1e5b6f7a8b9c0d","object":"event","created_at":1767225600,"type":"video.completed","data":{"id":"video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"}}"#;

    #[test]
    fn the_vector_of_the_contract_is_reproduced() {
        let random = Counting::default();
        let secret = SigningSecret::random(&random);
        let expected = "v1,sPBKOUWJT4LHG8mz4S0IzifKEfAucenJd+WR6Mcmoug=";
        assert_eq!(signature(std::slice::from_ref(&secret), ID, 1_767_225_601, BODY), expected);

        let both = signature(&[SigningSecret::random(&random), secret], ID, 1_767_225_601, BODY);
        let (new, old) = both.split_once(' ').unwrap();
        assert_eq!(old, expected);
        assert!(new.starts_with("v1,") && new != old);
    }
}
