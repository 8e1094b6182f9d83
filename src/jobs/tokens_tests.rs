//! Tokens against forgers, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::tokens::*;
use super::{KeyTerms, Keys, Pepper};
use crate::domain::clock::Random;
use crate::domain::key::{KeyOwner, KeyRecord, Scope};
use crate::domain::sample::{self, TestClock, TestRandom};
use crate::store::{Memory, Store};

struct Bench {
    clock: Arc<TestClock>,
    keys: Keys,
    tokens: Tokens,
    key: KeyRecord,
    store: Arc<dyn Store>,
}

const ISSUER: &str = "https://video.example";

impl Bench {
    async fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let clock = Arc::new(TestClock::default());
        let random: Arc<dyn Random> = Arc::new(TestRandom::default());
        let pepper = Pepper::new(1, b"pepper".to_vec());
        let keys = Keys::new(store.clone(), clock.clone(), random.clone(), pepper);
        let account = crate::domain::id::ServiceAccountId::new(1, [0; 10]);
        let owner = KeyOwner::Project { scope: sample::scope(1), account };
        let scopes = vec![Scope::VideosWrite, Scope::TokensMint];
        let terms = KeyTerms { name: "minter".to_owned(), owner, scopes, expires_at: None };
        let (key, _) = keys.create(terms).await.unwrap();
        let tokens = Tokens::new(store.clone(), keys.clone(), clock.clone(), random, b"secret", ISSUER);
        Self { clock, keys, tokens, key, store }
    }

    async fn mint(&self, scopes: Vec<Scope>) -> String {
        let rights = Rights { scopes, ..Rights::default() };
        let terms = TokenTerms { audience: Audience::Videos, life: Duration::from_secs(60), rights };
        self.tokens.mint(&self.key, terms).await.unwrap().text
    }

    async fn check(&self, text: &str) -> Result<Rights, TokenRefusal> {
        self.tokens.check(text, Audience::Videos).await.unwrap().map(|(_, rights)| rights)
    }
}

fn part(text: &str, index: usize) -> Value {
    let encoded = text.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_token_lends_what_its_key_has() {
    let bench = Bench::new().await;
    let text = bench.mint(vec![Scope::VideosRead]).await;
    assert_eq!(bench.check(&text).await.unwrap().scopes, [Scope::VideosRead]);
    let claims = part(&text, 1);
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["scope"]),
        (&json!(ISSUER), &json!("videos"), &json!("videos.read"))
    );
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    let operator = bench.tokens.check(&text, Audience::Operator).await.unwrap();
    assert_eq!(operator.unwrap_err(), TokenRefusal::Invalid, "it is for videos");
    let more = bench.mint(vec![Scope::VideosDelete]).await;
    assert_eq!(bench.check(&more).await.unwrap_err(), TokenRefusal::Invalid, "the key has no such scope");
}

#[tokio::test]
async fn a_token_lives_as_long_as_it_says_and_no_longer_than_its_key() {
    let bench = Bench::new().await;
    let text = bench.mint(vec![Scope::VideosRead]).await;
    bench.clock.pass(Duration::from_secs(60 + 30));
    assert!(bench.check(&text).await.is_ok(), "clocks may differ by 30 s");
    bench.clock.pass(Duration::from_secs(1));
    assert_eq!(bench.check(&text).await.unwrap_err(), TokenRefusal::Expired);
    let text = bench.mint(vec![Scope::VideosRead]).await;
    assert!(bench.check(&text).await.is_ok());
    bench.keys.revoke(bench.key.id).await.unwrap();
    assert_eq!(bench.check(&text).await.unwrap_err(), TokenRefusal::Invalid);
}

#[tokio::test]
async fn another_server_learns_of_a_revocation_within_5_seconds() {
    let bench = Bench::new().await;
    let terms = KeyTerms {
        name: "text".to_owned(),
        owner: bench.key.owner,
        scopes: vec![Scope::VideosRead],
        expires_at: None,
    };
    let (record, key) = bench.keys.create(terms).await.unwrap();
    let pepper = Pepper::new(1, b"pepper".to_vec());
    let there = Keys::new(bench.store.clone(), bench.clock.clone(), Arc::new(TestRandom::default()), pepper);
    let tokens = Tokens::new(
        bench.store.clone(),
        there.clone(),
        bench.clock.clone(),
        Arc::new(TestRandom::default()),
        b"secret",
        ISSUER,
    );
    let text = bench.mint(vec![Scope::VideosRead]).await;
    assert!(tokens.check(&text, Audience::Videos).await.unwrap().is_ok());
    assert!(there.check(&key).await.unwrap().is_ok());
    bench.keys.revoke(bench.key.id).await.unwrap();
    bench.keys.revoke(record.id).await.unwrap();
    assert!(bench.keys.check(&key).await.unwrap().is_err(), "at once where it was told");
    bench.clock.pass(Duration::from_secs(5));
    assert!(there.check(&key).await.unwrap().is_err(), "by its text");
    assert!(there.live(bench.key.id).await.unwrap().is_none());
    assert!(tokens.check(&text, Audience::Videos).await.unwrap().is_err());
}

#[tokio::test]
async fn what_the_server_did_not_sign_opens_nothing() {
    let bench = Bench::new().await;
    let text = bench.mint(vec![Scope::VideosRead]).await;
    let (header, claims) = (part(&text, 0), part(&text, 1));
    let signature = text.rsplit('.').next().unwrap();
    let with_header = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header);
        encode(&header)
    };
    let public = bench.tokens.published().await.unwrap().remove(0).bytes;
    let hs256 = with_header(&|header| header["alg"] = json!("HS256"));
    let forged = format!("{hs256}.{}", encode(&claims));
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(&public).unwrap().chain_update(&forged).finalize();
    let none = with_header(&|header| header["alg"] = json!("none"));
    let other = with_header(&|header| header["kid"] = json!("jwk_019b76da000070008000000000000000"));
    let path = with_header(&|header| header["kid"] = json!("../../../dev/null"));
    let plain = encode(&claims);
    let mut late = claims.clone();
    late["exp"] = json!(9_999_999_999_u64);
    let mut texts = claims.clone();
    texts["exp"] = json!("9999999999");
    let own = encode(&header);
    for forgery in [
        format!("{forged}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes())),
        format!("{none}.{plain}."),
        format!("{none}.{plain}.{signature}"),
        format!("{other}.{plain}.{signature}"),
        format!("{path}.{plain}.{signature}"),
        format!("{own}.{}.{signature}", encode(&late)),
        format!("{own}.{}.{signature}", encode(&texts)),
        "a.b.c".to_owned(),
        "..".to_owned(),
    ] {
        assert_eq!(bench.check(&forgery).await.unwrap_err(), TokenRefusal::Invalid, "{forgery}");
    }
    let secret: &[u8] = b"another installation";
    let random = Arc::new(TestRandom::default());
    let stranger = Tokens::new(
        bench.store.clone(),
        bench.keys.clone(),
        bench.clock.clone(),
        random.clone(),
        secret,
        ISSUER,
    );
    let mirror = Tokens::new(
        bench.store.clone(),
        bench.keys.clone(),
        bench.clock.clone(),
        random,
        b"secret",
        "https://other.example",
    );
    for tokens in [stranger, mirror] {
        let rights = Rights { scopes: vec![Scope::VideosRead], ..Rights::default() };
        let terms = TokenTerms { audience: Audience::Videos, life: Duration::from_secs(60), rights };
        let text = tokens.mint(&bench.key, terms).await.unwrap().text;
        assert_eq!(bench.check(&text).await.unwrap_err(), TokenRefusal::Invalid);
    }
}

#[tokio::test]
async fn what_is_well_signed_but_says_something_wrong_opens_nothing() {
    let bench = Bench::new().await;
    let text = bench.mint(vec![Scope::VideosRead]).await;
    let (header, claims) = (part(&text, 0), part(&text, 1));
    let kid = header["kid"].as_str().unwrap();
    // As the server derives it from its secret.
    let seed = <Hmac<Sha256> as Mac>::new_from_slice(b"secret").unwrap();
    let seed = seed.chain_update("wanserve token signing v1").chain_update(kid).finalize().into_bytes();
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let sign = |claims: &Value| {
        let signed = format!("{}.{}", encode(&header), encode(claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes())))
    };
    assert!(bench.check(&sign(&claims)).await.is_ok(), "what is signed like this opens");
    let now = claims["iat"].as_u64().unwrap();
    let wrong = [
        ("exp", json!((now + 60).to_string())),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!(now + 3601)),
        ("exp", json!(u64::MAX)),
        ("exp", Value::Null),
        ("iat", json!(now.to_string())),
        ("iat", json!(now + 31)),
        ("iat", Value::Null),
        ("nbf", json!((now + 60).to_string())),
        ("nbf", json!(now + 31)),
        ("nbf", json!([now])),
        ("aud", json!("operator")),
        ("aud", json!(["operator", "videos"])),
        ("aud", Value::Null),
        ("iss", json!("https://other.example")),
        ("iss", Value::Null),
        ("sub", json!("key_019b76da000070008000000000000000")),
        ("sub", json!(1)),
        ("sub", Value::Null),
        ("jti", Value::Null),
        ("scope", json!("videos.read videos.root")),
        ("scope", json!(["videos.read"])),
        ("scope", Value::Null),
        ("org", json!("org_019b76da000070008000000000000000")),
        ("org", Value::Null),
        ("project", json!("proj_019b76da000070008000000000000000")),
        ("project", Value::Null),
        ("videos", json!("video_019b76da000070008000000000000000")),
        ("videos", json!(["x"])),
        ("limits", json!({ "max_active_jobs": -1 })),
    ];
    for (name, value) in wrong {
        let mut forged = claims.clone();
        if value.is_null() {
            forged.as_object_mut().unwrap().remove(name);
        } else {
            forged[name] = value;
        }
        let refused = bench.check(&sign(&forged)).await.unwrap_err();
        assert_eq!(refused, TokenRefusal::Invalid, "{name}: {}", forged[name]);
    }
}

#[tokio::test]
async fn rotating_once_keeps_tokens_and_twice_ends_them() {
    let bench = Bench::new().await;
    let first = bench.mint(vec![Scope::VideosRead]).await;
    bench.clock.pass(Duration::from_millis(5));
    bench.tokens.rotate().await.unwrap();
    let second = bench.mint(vec![Scope::VideosRead]).await;
    assert_ne!(part(&first, 0)["kid"], part(&second, 0)["kid"]);
    assert!(bench.check(&first).await.is_ok() && bench.check(&second).await.is_ok());
    assert_eq!(bench.tokens.published().await.unwrap().len(), 2);
    bench.clock.pass(Duration::from_millis(5));
    bench.tokens.rotate().await.unwrap();
    assert_eq!(bench.check(&first).await.unwrap_err(), TokenRefusal::Invalid);
    assert!(bench.check(&second).await.is_ok());
    assert_eq!(bench.tokens.published().await.unwrap().len(), 2);
}
