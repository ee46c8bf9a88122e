//! Against a real HTTP server that rotates its keys, is slow, endless, wrong,
//! or not there: good keys are found, bad answers change nothing.

use std::{io, sync::Mutex};

use futures_util::future::join_all;
use http::StatusCode;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tracing::subscriber::NoSubscriber;

use super::{
    issuer::{Answer, Issuer, Signer, ec, ed, rsa, set},
    *,
};
use crate::{
    error::Reason,
    identity::{Algorithm, DEFAULT_AUDIENCE, DEV_ISSUER, Verifier},
    task, telemetry,
};

const HOUR: Duration = Duration::from_hours(1);
const PATIENCE: Duration = Duration::from_secs(20);

fn jwks(url: String, min_interval: Duration) -> JwksOptions {
    JwksOptions { url, ca_file: None, refresh: HOUR, min_interval, timeout: PATIENCE }
}

fn options(jwks: Option<Jwks>, algorithms: &[Algorithm]) -> VerifierOptions {
    VerifierOptions {
        issuer: DEV_ISSUER.into(),
        audience: DEFAULT_AUDIENCE.into(),
        leeway_seconds: 60,
        algorithms: algorithms.to_vec(),
        keys: Vec::new(),
        jwks,
    }
}

fn verifier_with(jwks: JwksOptions, algorithms: &[Algorithm]) -> Verifier {
    telemetry::init_metrics().expect("metrics");
    let jwks = Jwks::new(jwks).expect("a good URL");
    let options = options(Some(jwks), algorithms);
    let verifier = Verifier::new(options).expect("a verifier");
    task::spawn("test keys", verifier.clone().keep_keys_fresh());
    verifier
}

/// Fetches at every unknown key, and else never again.
async fn verifier(issuer: &Issuer) -> Verifier {
    verifier_with(jwks(issuer.start().await, Duration::ZERO), &Algorithm::ALL)
}

async fn outcome(verifier: &Verifier, token: &str) -> Result<(), Reason> {
    let outcome = timeout(PATIENCE, verifier.verify(token)).await.expect("in time");
    outcome.map(drop).map_err(|error| error.reason())
}

/// Waits until the keys were fetched.
async fn ready(verifier: &Verifier) {
    let fetched = async {
        while !verifier.is_ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, fetched).await.expect("in time");
}

#[tokio::test]
async fn a_key_that_rotates_in_verifies_and_one_that_rotates_out_does_not() {
    let ((old, old_key), (new, new_key)) = (ed("old"), ed("new"));
    let issuer = Issuer::new(Answer::Keys(vec![old_key.clone()]));
    let verifier = verifier(&issuer).await;
    // Not even fetched yet: the first token waits for that.
    let token = old.token();
    assert_eq!(outcome(&verifier, &token).await, Ok(()));
    assert_eq!(outcome(&verifier, &new.token()).await, Err(Reason::InvalidToken));
    issuer.now_answers(Answer::Keys(vec![old_key, new_key.clone()]));
    assert_eq!(outcome(&verifier, &new.token()).await, Ok(()));
    assert_eq!(outcome(&verifier, &token).await, Ok(()), "it is in both sets");
    issuer.now_answers(Answer::Keys(vec![new_key]));
    assert_eq!(outcome(&verifier, &ed("other").0.token()).await, Err(Reason::InvalidToken));
    // Remembered as verified, and still not believed.
    assert_eq!(verifier.recall(&token).map(|outcome| outcome.is_ok()), None);
    assert_eq!(outcome(&verifier, &token).await, Err(Reason::InvalidToken));
    assert_eq!(outcome(&verifier, &new.token()).await, Ok(()));
}

#[tokio::test]
async fn another_key_of_the_same_name_replaces_the_first() {
    let ((first, first_key), (second, second_key)) = (ed("same"), ed("same"));
    let issuer = Issuer::new(Answer::Keys(vec![first_key]));
    let verifier = verifier(&issuer).await;
    let token = first.token();
    assert_eq!(outcome(&verifier, &token).await, Ok(()));
    issuer.now_answers(Answer::Keys(vec![second_key]));
    assert_eq!(outcome(&verifier, &ed("unknown").0.token()).await, Err(Reason::InvalidToken));
    assert_eq!(outcome(&verifier, &token).await, Err(Reason::InvalidToken));
    assert_eq!(outcome(&verifier, &second.token()).await, Ok(()));
}

#[tokio::test]
async fn unknown_keys_do_not_make_it_fetch_without_end() {
    let (known, key) = ed("known");
    let issuer = Issuer::new(Answer::Keys(vec![key]));
    let verifier = verifier_with(jwks(issuer.start().await, HOUR), &Algorithm::ALL);
    assert_eq!(outcome(&verifier, &known.token()).await, Ok(()));
    for _ in 0..50 {
        assert_eq!(outcome(&verifier, &ed("unknown").0.token()).await, Err(Reason::InvalidToken));
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn all_who_wait_for_a_key_share_one_fetch() {
    let ((known, known_key), (new, new_key)) = (ed("known"), ed("new"));
    let issuer = Issuer::new(Answer::Keys(vec![known_key]));
    let verifier = verifier(&issuer).await;
    assert_eq!(outcome(&verifier, &known.token()).await, Ok(()));
    let gate = Arc::new(Notify::new());
    issuer.now_answers(Answer::Held(Arc::clone(&gate), vec![new_key]));
    let tokens: Vec<String> = (0..100).map(|_| new.token()).collect();
    let waiting = join_all(tokens.iter().map(|token| outcome(&verifier, token)));
    let release = async {
        while issuer.asked() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.notify_one();
    };
    let (outcomes, ()) = tokio::join!(waiting, release);
    assert_eq!(outcomes, vec![Ok(()); 100]);
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn bad_answers_keep_the_old_keys_and_are_counted() {
    let ((good, good_key), (stranger, _)) = (ed("good"), ed("stranger"));
    let issuer = Issuer::new(Answer::Keys(vec![good_key]));
    let verifier = verifier(&issuer).await;
    ready(&verifier).await;
    let symmetric = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"});
    for (answer, counted) in [
        (Answer::Status(StatusCode::INTERNAL_SERVER_ERROR), "status"),
        (Answer::Status(StatusCode::NO_CONTENT), "status"),
        (Answer::Redirect(vec![ed("stranger").1]), "status"),
        (Answer::Text("<html>".into()), "malformed"),
        (Answer::Text("{}".into()), "malformed"),
        (Answer::Text("[]".into()), "malformed"),
        (Answer::Keys(vec![]), "no_keys"),
        (Answer::Keys(vec![json!(7), json!({}), symmetric]), "no_keys"),
        (Answer::Endless, "too_large"),
        (Answer::Text(" ".repeat(300_000)), "too_large"),
        (Answer::CutOff, "broken"),
    ] {
        issuer.now_answers(answer);
        // Nobody knows whether the key is the issuer's: the client may try again.
        let strange = outcome(&verifier, &stranger.token()).await;
        assert_eq!(strange, Err(Reason::StoreUnavailable), "{counted}");
        assert_eq!(outcome(&verifier, &good.token()).await, Ok(()), "{counted}");
        let line = format!("confab_jwks_fetches_total{{outcome=\"{counted}\"}}");
        assert!(telemetry::render().contains(&line), "{counted}");
    }
    assert!(verifier.is_ready());
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_waited_for_and_given_up() {
    let (good, key) = ed("good");
    let issuer = Issuer::new(Answer::Keys(vec![key]));
    let mut options = jwks(issuer.start().await, Duration::ZERO);
    options.timeout = Duration::from_secs(1);
    let verifier = verifier_with(options, &Algorithm::ALL);
    ready(&verifier).await;
    issuer.now_answers(Answer::Silent);
    let strange = outcome(&verifier, &ed("other").0.token()).await;
    assert_eq!(strange, Err(Reason::StoreUnavailable));
    assert_eq!(outcome(&verifier, &good.token()).await, Ok(()));
    assert!(telemetry::render().contains("confab_jwks_fetches_total{outcome=\"slow\"}"));
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_tried_again() {
    let (signer, key) = ed("late");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let options = jwks(format!("http://{address}/keys"), HOUR);
    let verifier = verifier_with(options, &Algorithm::ALL);
    assert_eq!(outcome(&verifier, &signer.token()).await, Err(Reason::StoreUnavailable));
    assert!(!verifier.is_ready());
    let listener = TcpListener::bind(address).await.expect("the same port");
    Issuer::new(Answer::Keys(vec![key])).serve(listener, None);
    ready(&verifier).await;
    assert_eq!(outcome(&verifier, &signer.token()).await, Ok(()));
}

#[tokio::test]
async fn keys_that_are_not_for_tokens_of_ours_are_left_out() {
    let ((r, r_key), (e, e_key), (d, d_key)) = (rsa("r"), ec("e"), ed("d"));
    let with = |key: &Value, kid: &str, name: &str, value: Value| {
        let mut key = key.clone();
        key["kid"] = kid.into();
        key[name] = value;
        key
    };
    let ignored = vec![
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "oct", "alg": "HS256", "use": "sig"}),
        with(&r_key, "enc", "use", json!("enc")),
        with(&r_key, "ops", "key_ops", json!(["encrypt"])),
        with(&r_key, "rs512", "alg", json!("RS512")),
        with(&r_key, "short", "n", json!("AQAB")),
        with(&r_key, "even", "e", json!("AQAA")),
        with(&e_key, "p384", "crv", json!("P-384")),
        with(&e_key, "no-point", "y", e_key["x"].clone()),
        with(&d_key, "private", "d", json!("c2VjcmV0")),
        with(&d_key, "cut", "x", json!("c2VjcmV0")),
        with(&d_key, "padded", "x", json!("A".repeat(64))),
        with(&d_key, "no-string", "kid", json!(7)),
        // The second of this name.
        with(&ed("d").1, "d", "use", json!("sig")),
    ];
    let number = ignored.len();
    let keys = [vec![r_key, e_key, d_key], ignored].concat();
    let read = jwk_set::read(set(&keys).as_bytes(), &options(None, &Algorithm::ALL));
    let read = read.expect("three good keys");
    assert_eq!((read.keys.len(), read.ignored), (3, number));
    let verifier = verifier(&Issuer::new(Answer::Keys(keys))).await;
    for signer in [&r, &e, &d] {
        assert_eq!(outcome(&verifier, &signer.token()).await, Ok(()), "{}", signer.kid);
    }
    assert!(telemetry::render().contains("confab_jwks_ignored_keys"));
    // Whoever reads a symmetric key in public must not be able to use it.
    let forged = Signer {
        kid: "oct",
        algorithm: jsonwebtoken::Algorithm::HS256,
        key: EncodingKey::from_secret(b"secret"),
    };
    assert_eq!(outcome(&verifier, &forged.token()).await, Err(Reason::InvalidToken));
    for kid in ["enc", "rs512"] {
        let signer = Signer { kid, ..rsa("r").0 };
        assert_eq!(outcome(&verifier, &signer.token()).await, Err(Reason::InvalidToken), "{kid}");
    }
}

#[tokio::test]
async fn a_public_key_of_the_issuers_is_no_hmac_secret() {
    let (_, key) = rsa("r");
    let issuer = Issuer::new(Answer::Keys(vec![key.clone()]));
    let verifier = verifier(&issuer).await;
    ready(&verifier).await;
    for secret in [key["n"].as_str().expect("text"), include_str!("../testdata/rsa-public.pem")] {
        let forged = Signer {
            kid: "r",
            algorithm: jsonwebtoken::Algorithm::HS256,
            key: EncodingKey::from_secret(secret.as_bytes()),
        };
        assert_eq!(outcome(&verifier, &forged.token()).await, Err(Reason::InvalidToken));
    }
    // Its own algorithm's stronger brother is not on the list, and asks nobody.
    let asked = issuer.asked();
    let stronger = Signer { algorithm: jsonwebtoken::Algorithm::RS512, ..rsa("r").0 };
    assert_eq!(outcome(&verifier, &stronger.token()).await, Err(Reason::InvalidToken));
    assert_eq!(issuer.asked(), asked);
}

#[tokio::test]
async fn algorithms_that_are_not_allowed_have_no_keys() {
    let ((r, r_key), (e, e_key)) = (rsa("r"), ec("e"));
    let issuer = Issuer::new(Answer::Keys(vec![r_key, e_key]));
    let url = issuer.start().await;
    let verifier = verifier_with(jwks(url, Duration::ZERO), &[Algorithm::ES256]);
    assert_eq!(outcome(&verifier, &e.token()).await, Ok(()));
    assert_eq!(outcome(&verifier, &r.token()).await, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn over_tls_the_server_must_be_the_one_that_is_named() {
    let (signer, key) = ec("tls");
    let url = Issuer::new(Answer::Keys(vec![key])).start_with_tls().await;
    let ca_file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/identity/testdata/tls-ca.pem");
    let mut options = jwks(url, Duration::ZERO);
    // The system's authorities do not know it, if there are any.
    if let Ok(unknown) = Jwks::new(options.clone()) {
        let error = unknown.0.fetcher.fetch().await.expect_err("not trusted").to_string();
        assert!(error.contains("invalid peer certificate"), "{error}");
    }
    options.ca_file = Some(ca_file.into());
    let verifier = verifier_with(options.clone(), &Algorithm::ALL);
    assert_eq!(outcome(&verifier, &signer.token()).await, Ok(()));
    // Nothing is said in the clear to a server that should speak TLS, nor the other way.
    let plain = options.url.replace("https:", "http:");
    let plain = Jwks::new(JwksOptions { url: plain, ..options.clone() }).expect("a good URL");
    assert!(plain.0.fetcher.fetch().await.is_err());
    options.ca_file = Some(ca_file.replace("tls-ca", "rsa-public").into());
    assert!(matches!(Jwks::new(options), Err(UrlError::NoRoots(_))));
}

#[test]
fn only_urls_that_can_be_trusted_are_taken() {
    let new = |url: &str| Jwks::new(jwks(url.to_owned(), HOUR)).map(drop);
    for good in ["http://127.0.0.1/", "http://[::1]:8080/keys?x=1", "http://localhost:1/keys"] {
        assert!(new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "keys.json",
        "/keys",
        "ftp://issuer.example/keys",
        "http://issuer.example/keys",
        "http://127.0.0.1.issuer.example/keys",
        "http://user:password@127.0.0.1/keys",
        "https://user@issuer.example/keys",
        "file:///keys",
    ] {
        assert!(matches!(new(bad), Err(UrlError::Unfit(_))), "{bad}");
    }
}

#[tokio::test]
async fn the_log_tells_each_change_once() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).without_time();
    // While there is one subscriber only, tracing asks the thread that logs a line for
    // the first time whether anybody listens, and remembers its no for all threads.
    let _second = tracing::Dispatch::new(NoSubscriber::default());
    let _here = tracing::subscriber::set_default(subscriber.finish());
    let (good, key) = ed("good");
    let issuer = Issuer::new(Answer::Keys(vec![key.clone()]));
    let verifier = verifier(&issuer).await;
    assert_eq!(outcome(&verifier, &good.token()).await, Ok(()));
    for round in 1..3 {
        for answer in [Answer::Text("no".into()), Answer::Status(StatusCode::NOT_FOUND)] {
            issuer.now_answers(answer);
            let strange = outcome(&verifier, &ed("other").0.token()).await;
            assert_eq!(strange, Err(Reason::StoreUnavailable));
        }
        assert_eq!(lines.count("WARN"), round);
        issuer.now_answers(Answer::Keys(vec![key.clone()]));
        for _ in 0..2 {
            let strange = outcome(&verifier, &ed("other").0.token()).await;
            assert_eq!(strange, Err(Reason::InvalidToken));
        }
        assert_eq!(lines.count("keys are fetched"), 1 + round);
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn count(&self, text: &str) -> usize {
        let bytes = self.0.lock().expect("a lock").clone();
        String::from_utf8(bytes).expect("text").lines().filter(|line| line.contains(text)).count()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The switch that the integration test relies on does what it says.
#[cfg(feature = "mutants")]
#[tokio::test]
async fn token_outlives_key_believes_what_is_remembered() {
    let ((old, old_key), (_, new_key)) = (ed("old"), ed("new"));
    let issuer = Issuer::new(Answer::Keys(vec![old_key]));
    let verifier = verifier(&issuer).await;
    let token = old.token();
    assert_eq!(outcome(&verifier, &token).await, Ok(()));
    issuer.now_answers(Answer::Keys(vec![new_key]));
    let _ = outcome(&verifier, &ed("other").0.token()).await;
    confab_log::mutant::set(Some("token-outlives-key"));
    assert_eq!(outcome(&verifier, &token).await, Ok(()));
}
