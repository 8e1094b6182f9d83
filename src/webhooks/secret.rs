//! Signing secrets: their text form, and the box in which they lie in the store.
//! They must be readable to sign, so they are encrypted where keys are only hashed.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::error::WebhookError;
use crate::domain::clock::Random;
use crate::domain::webhook::SealedSecret;

/// 32 bytes: as strong as the HMAC that uses them; the specification allows 24 to 64.
const SECRET_BYTES: usize = 32;

/// Sets this use of the pepper apart from all others.
const KEY_PURPOSE: &[u8] = b"wanserve webhook secrets v1";

/// A secret that signs. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret([u8; SECRET_BYTES]);

/// Seals and opens secrets with a key that only this installation has.
#[derive(Clone)]
pub struct SecretBox {
    key: std::sync::Arc<LessSafeKey>,
}

impl SigningSecret {
    /// A new one.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; SECRET_BYTES];
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// As its owner gets it: `whsec_` and standard base64 with padding, which is what the official SDKs decode.
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl SecretBox {
    /// With a key derived from the installation's pepper.
    pub fn new(pepper: &[u8]) -> Self {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(pepper).expect("HMAC takes a key of any length");
        let key = mac.chain_update(KEY_PURPOSE).finalize().into_bytes();
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the cipher's key has 32 bytes");
        Self { key: std::sync::Arc::new(LessSafeKey::new(key)) }
    }

    /// For the store. `owner` is bound to it: what was sealed for one does not open for another.
    pub fn seal(&self, owner: &str, secret: &SigningSecret, random: &dyn Random) -> SealedSecret {
        SealedSecret(self.seal_bytes(owner, &secret.0, random))
    }

    /// Fails if it was sealed for another owner, under another pepper, or was changed.
    pub fn open(&self, owner: &str, sealed: &SealedSecret) -> Result<SigningSecret, WebhookError> {
        let bytes = self.open_bytes(owner, &sealed.0)?;
        <[u8; SECRET_BYTES]>::try_from(bytes).map(SigningSecret).map_err(|_| WebhookError::Sealed)
    }

    /// The same for a text of any length.
    pub fn seal_bytes(&self, owner: &str, bytes: &[u8], random: &dyn Random) -> String {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut text = bytes.to_vec();
        let sealing = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(sealing, Aad::from(owner.as_bytes()), &mut text);
        let tag = tag.expect("a text in memory is sealed");
        STANDARD.encode([&nonce[..], &text, tag.as_ref()].concat())
    }

    /// Fails as [`open`](Self::open) does.
    pub fn open_bytes(&self, owner: &str, sealed: &str) -> Result<Vec<u8>, WebhookError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| WebhookError::Sealed)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or(WebhookError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| WebhookError::Sealed)?;
        let mut text = rest.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut text);
        Ok(opened.map_err(|_| WebhookError::Sealed)?.to_vec())
    }
}

impl fmt::Debug for SecretBox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretBox(***)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// Counts instead of drawing.
    #[derive(Debug, Default)]
    pub(in super::super) struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().for_each(|byte| *byte = self.0.fetch_add(1, Ordering::SeqCst));
        }
    }

    #[test]
    fn a_secret_has_the_form_of_the_contract() {
        let secret = SigningSecret::random(&Counting::default());
        assert_eq!(secret.reveal(), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn a_sealed_secret_opens_for_its_owner_under_its_pepper_only() {
        let random = Counting::default();
        let (secret, secrets) = (SigningSecret::random(&random), SecretBox::new(b"pepper"));
        let sealed = secrets.seal("we_1", &secret, &random);
        assert_eq!(secrets.open("we_1", &sealed).unwrap(), secret);
        assert!(!sealed.0.contains("AAECAwQF"), "{sealed:?}");
        assert_ne!(sealed, secrets.seal("we_1", &secret, &random), "each seal has its own nonce");

        let flipped = SealedSecret(sealed.0.replacen(
            &sealed.0[20..21],
            if &sealed.0[20..21] == "A" { "B" } else { "A" },
            1,
        ));
        for (owner, sealed) in
            [("we_2", &sealed), ("we_1", &flipped), ("we_1", &SealedSecret("AA==".to_owned()))]
        {
            assert!(secrets.open(owner, sealed).is_err());
        }
        assert!(SecretBox::new(b"salt").open("we_1", &sealed).is_err());
    }
}
