//! Every layer of the configuration wins over the one below it, and what is
//! wrong is said clearly.

use serde_json::json;

use super::*;
use crate::identity::Algorithm;

const EC_PUBLIC: &str = include_str!("../identity/testdata/ec-public.pem");

#[expect(clippy::result_large_err, reason = "figment's own error in figment's own closure")]
/// Runs with a TOML file and environment variables of its own.
fn load(
    toml: &str,
    environment: &[(&str, &str)],
    flags: &serde_json::Value,
) -> Result<Config, ConfigError> {
    let mut loaded = None;
    figment::Jail::expect_with(|jail| {
        jail.create_file("confab.toml", toml)?;
        for (name, value) in environment {
            jail.set_env(name, value);
        }
        loaded = Some(Config::load(Some(Path::new("confab.toml")), flags));
        Ok(())
    });
    loaded.expect("loaded or refused")
}

fn refusal(toml: &str, environment: &[(&str, &str)]) -> String {
    load(toml, environment, &json!({})).expect_err("refused").to_string()
}

#[test]
fn the_defaults_are_dev_mode_on_loopback() {
    let config = load("", &[], &json!({})).expect("loads");
    assert_eq!(config, Config::default());
    assert!(config.is_dev_mode());
    assert_eq!(config.listen.to_string(), "127.0.0.1:7400");
    assert_eq!(config.limits.text_bytes, 16_384);
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let toml = "drain_seconds = 1\n[limits]\ntext_bytes = 1\nframe_bytes = 2\nrequest_bytes = 3";
    let environment = [
        ("CONFAB_LIMITS__FRAME_BYTES", "20000"),
        ("CONFAB_LIMITS__REQUEST_BYTES", "30"),
        ("CONFAB_LISTEN", "127.0.0.1:0"),
        ("CONFAB_LOG__FILTER", "warn,confab_kit=debug"),
    ];
    let flags = json!({"limits": {"request_bytes": 300}, "data_dir": "elsewhere"});
    let config = load(toml, &environment, &flags).expect("loads");
    let limits = &config.limits;
    assert_eq!((limits.text_bytes, limits.frame_bytes, limits.request_bytes), (1, 20_000, 300));
    assert_eq!(limits.heartbeat_ms, 15_000);
    assert_eq!(config.drain_seconds, 1);
    assert_eq!(config.listen.port(), 0);
    assert_eq!(config.log.filter, "warn,confab_kit=debug");
    assert_eq!(config.data_dir, Path::new("elsewhere"));
}

#[test]
fn unknown_keys_are_errors_wherever_they_stand() {
    for (toml, environment) in [
        ("nonsense = 1", vec![]),
        ("[limits]\nnonsense = 1", vec![]),
        ("[[auth.keys]]\nkid = 'a'\nalgorithm = 'ES256'\nnonsense = 'x'", vec![]),
        ("", vec![("CONFAB_NONSENSE", "1")]),
        ("", vec![("CONFAB_LIMITS__NONSENSE", "1")]),
    ] {
        let said = refusal(toml, &environment);
        assert!(said.to_lowercase().contains("nonsense"), "{said}");
    }
    assert!(load("", &[("CONFAB_MUTANT", "x"), ("CONFAB_TOKEN", "x")], &json!({})).is_ok());
}

#[test]
fn wrong_values_are_named() {
    assert!(refusal("listen = 'nonsense'", &[]).contains("listen"));
    assert!(refusal("[limits]\ntext_bytes = 0", &[]).contains("limits.text_bytes"));
    assert!(refusal("[limits]\nframe_bytes = 10", &[]).contains("limits.frame_bytes"));
    assert!(refusal("[limits]\nmax_deadline_ms = 1", &[]).contains("max_deadline_ms"));
    assert!(refusal("[log]\nformat = 'xml'", &[]).contains("format"));
    assert!(refusal("[[auth.keys]]\nkid = 'a'\nalgorithm = 'HS256'", &[]).contains("HS256"));
    let both = "page_token_key = 'x'\npage_token_key_file = 'y'";
    assert!(refusal(both, &[]).contains("page_token_key"));
    let missing = Config::load(Some(Path::new("/nonexistent.toml")), json!({}));
    assert!(matches!(missing, Err(ConfigError::NoFile(_))));
}

#[test]
fn what_is_wrong_is_said_in_the_words_it_is_written_in() {
    for (toml, environment, said) in [
        ("lisen = '127.0.0.1:1'", vec![], "confab.toml: there is no key `lisen`; known here are"),
        ("[limits]\ntext_bytes = 'x'", vec![], "`limits.text_bytes` must be a whole number"),
        ("", vec![("CONFAB_LIMITS__TEXT", "1")], "there is no key `CONFAB_LIMITS__TEXT`; known"),
        (
            "",
            vec![("CONFAB_LOG__FORMAT", "xml")],
            "`CONFAB_LOG__FORMAT` cannot be `xml`; it must be",
        ),
        ("listen = '", vec![], "confab.toml: TOML parse error at line 1"),
        ("auth.keys = [{kid = 'a'}]", vec![], "`algorithm` is missing in `auth.keys.0`"),
        ("[limits]\nframe_bytes = 10", vec![], "limits.frame_bytes must not be below 16384"),
        ("auth.issuer = 'i'", vec![], "auth.issuer is set, but none of its keys"),
    ] {
        let refused = refusal(toml, &environment);
        assert!(refused.contains(said), "{refused}");
        assert!(!refused.contains("default."), "{refused}");
    }
    // What was a secret, had it been quoted.
    assert!(!refusal("digest_key = 1234567", &[]).contains("1234567"));
}

#[test]
fn dev_mode_refuses_to_serve_others() {
    for key in ["listen", "mesh_listen", "ops_listen"] {
        let said = refusal(&format!("{key} = '0.0.0.0:7400'"), &[]);
        assert!(said.contains(key) && said.contains("dev mode"), "{said}");
    }
    let keys = "listen = '0.0.0.0:7400'\n[auth]\nissuer = 'i'\nkeys = [{kid = 'a', algorithm = 'ES256', pem = 'x'}]";
    assert!(!load(keys, &[], &json!({})).expect("loads").is_dev_mode());
    let no_issuer = "auth.keys = [{kid = 'a', algorithm = 'ES256', pem = 'x'}]";
    assert!(refusal(no_issuer, &[]).contains("auth.issuer"));
}

#[test]
fn where_keys_are_fetched_is_configured_and_checked() {
    let environment = [
        ("CONFAB_AUTH__ISSUER", "https://issuer.example"),
        ("CONFAB_AUTH__JWKS_URL", "https://issuer.example/keys"),
        ("CONFAB_AUTH__ALGORITHMS", "[RS256, EdDSA]"),
    ];
    let config = load("listen = '0.0.0.0:7400'", &environment, &json!({})).expect("loads");
    assert!(!config.is_dev_mode());
    assert_eq!(
        (config.auth.jwks_refresh_seconds, config.auth.jwks_min_interval_seconds),
        (300, 30)
    );
    assert_eq!(config.auth.algorithms, [Algorithm::RS256, Algorithm::EdDSA]);
    assert!(refusal("auth.jwks_url = 'https://issuer.example/keys'", &[]).contains("auth.issuer"));
    assert!(refusal("auth.jwks_ca_file = '/x'", &[]).contains("auth.jwks_ca_file"));
    assert!(refusal("auth.jwks_refresh_seconds = 0", &[]).contains("jwks_refresh_seconds"));
    assert!(refusal("auth.leeway_seconds = 99999", &[]).contains("auth.leeway_seconds"));
    assert!(refusal("auth.algorithms = []", &[]).contains("auth.algorithms"));
    let hs256 = "auth.algorithms = ['HS256']";
    assert!(refusal(hs256, &[]).contains("HS256"));
    let key = "auth.algorithms = ['RS256']\nauth.keys = [{kid = 'a', algorithm = 'ES256', pem = 'x'}]\nauth.issuer = 'i'";
    assert!(refusal(key, &[]).contains("not in auth.algorithms"));
    let mut unfit = config;
    unfit.auth.jwks_url = Some("http://issuer.example/keys".into());
    assert!(unfit.identity().expect_err("not https").to_string().contains("auth.jwks_url"));
}

#[test]
fn budgets_are_changed_one_by_one() {
    let environment =
        [("CONFAB_RATES__SEND__PER_MINUTE", "5"), ("CONFAB_LIMITS__STREAMS_PER_USER", "7")];
    let toml = "[rates]\nenabled = true\n[rates.read]\nper_hour = 0\n[limits]\ntrusted_proxies = ['10.0.0.0/8']";
    let config = load(toml, &environment, &json!({})).expect("loads");
    assert_eq!(config.rates.send, Rate { per_minute: 5, per_hour: 1000 });
    assert_eq!(config.rates.read, Rate { per_minute: 600, per_hour: 0 });
    assert_eq!(config.rates.enabled, Some(true));
    assert_eq!(config.limits.streams_per_user, Some(7));
    let proxy = config.limits.trusted_proxies[0];
    assert!(proxy.contains("10.1.2.3".parse().expect("an address")));
    let again = load(&config.to_toml().expect("toml"), &[], &json!({})).expect("loads");
    assert_eq!(again, config);
    assert!(refusal("[rates.sent]\nper_minute = 1", &[]).contains("sent"));
    assert!(refusal("limits.trusted_proxies = ['10.0.0.0/99']", &[]).contains("10.0.0.0/99"));
}

#[test]
fn secrets_are_read_from_files_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let mut config = Config { data_dir: folder.path().join("data"), ..Config::default() };
    config.page_token_key_file = Some(write("page", &format!("{}\n", "ab".repeat(32))));
    config.digest_key = Some(Secret::new("cd".repeat(32)));
    config.mesh.credential_file = Some(write("mesh", "0123456789abcdef\n"));
    assert_eq!(config.page_token_key().expect("a key"), [0xab; 32]);
    assert_eq!(config.digest_key().expect("a key"), [0xcd; 32]);
    assert!(config.mesh_credential().expect("a credential").matches(b"0123456789abcdef"));
    assert_eq!(config.page_token_second_key().expect("none"), None);
    config.page_token_second_key = Some(Secret::new("ef".repeat(32)));
    assert_eq!(config.page_token_second_key().expect("a key"), Some([0xef; 32]));
    let shown = config.to_toml().expect("toml");
    assert!(shown.contains("digest_key = \"***\""), "{shown}");
    assert!(!format!("{config:?}{shown}").contains("cdcd"));
    config.digest_key = Some(Secret::new("short"));
    assert!(config.digest_key().is_err());
    config.mesh.credential_file = Some(write("mesh", "short"));
    assert!(config.mesh_credential().is_err());
    config.page_token_key_file = Some("/nonexistent".into());
    let said = config.page_token_key().expect_err("no file").to_string();
    assert!(said.contains("page_token_key") && said.contains("/nonexistent"), "{said}");
}

#[tokio::test]
async fn secrets_that_nobody_gave_are_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config { data_dir: folder.path().join("data"), ..Config::default() };
    let page = config.page_token_key().expect("made");
    assert_eq!(config.page_token_key().expect("kept"), page);
    assert_ne!(config.digest_key().expect("made"), page);
    assert!(config.mesh_credential().is_ok());
    let identity = config.identity().expect("made");
    let key = identity.dev_key.expect("dev mode");
    let token = key.sign(crate::identity::Claims::user("acme", "alice"));
    assert!(config.identity().expect("kept").verifier.verify(&token).await.is_ok());
}

#[test]
fn configured_keys_replace_the_dev_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem_file = folder.path().join("ec.pem");
    std::fs::write(&pem_file, EC_PUBLIC).expect("written");
    let mut config = Config { data_dir: folder.path().join("data"), ..Config::default() };
    config.auth.issuer = Some("https://issuer.example".into());
    config.auth.keys = vec![AuthKey {
        kid: "a".into(),
        algorithm: crate::identity::Algorithm::ES256,
        pem: None,
        pem_file: Some(pem_file),
    }];
    let identity = config.identity().expect("reads");
    assert!(identity.dev_key.is_none());
    assert!(!config.data_dir.exists());
    config.auth.keys.push(config.auth.keys[0].clone());
    assert!(config.identity().expect_err("twice").to_string().contains("is taken"));
    config.auth.keys.truncate(1);
    config.auth.keys[0].pem_file = None;
    assert!(config.identity().is_err());
}

#[test]
fn the_printed_configuration_can_be_read_back() {
    let printed = Config::default().to_toml().expect("toml");
    assert_eq!(load(&printed, &[], &json!({})).expect("loads"), Config::default());
}

#[test]
fn every_role_is_served_somewhere() {
    let config = load("", &[("CONFAB_ROLES", "[messages]")], &json!({}));
    let said = config.expect_err("nobody serves the others").to_string();
    assert!(said.contains("mesh.peers") && said.contains("conversations"), "{said}");
    let toml = "roles = ['realtime']\nkeys_dir = 'keys'\n[mesh.peers]\n\
                messages = ['http://10.0.0.1:7401', 'http://messages.chat.svc:7401']\n\
                participants = ['http://[::1]:7401']";
    let environment = [("CONFAB_MESH__PEERS__CONVERSATIONS", "[\"http://10.0.0.2:7401\"]")];
    let config = load(toml, &environment, &json!({})).expect("loads");
    assert_eq!(config.roles(), [Role::Realtime].into());
    assert_eq!(config.mesh.peers[&Role::Messages].len(), 2);
    assert_eq!(config.keys_dir(), Path::new("keys"));
    assert_eq!(config.own_digest_key_file().expect("its own"), Path::new("keys/digest-key"));
    let again = load(&config.to_toml().expect("toml"), &[], &json!({})).expect("loads");
    assert_eq!(again, config);
    let flags = json!({"roles": ["messages", "realtime"]});
    let config = load(toml, &environment, &flags).expect("loads");
    assert_eq!(config.roles(), [Role::Messages, Role::Realtime].into());
    assert_eq!(Config::default().roles(), Role::ALL.into());
    assert!(refusal("roles = ['mesages']", &[]).contains("mesages"));
    for bad in ["https://a:1", "http://a", "a:1", "http://a:1/path", "http://u@a:1", ""] {
        let toml = format!("[mesh.peers]\nmessages = ['{bad}']");
        assert!(refusal(&toml, &[]).contains("mesh.peers"), "{bad}");
    }
    assert!(refusal("mesh.breaker_failures = 0", &[]).contains("mesh.breaker_failures"));
    let half = "[mesh]\ntls_cert_file = 'c'\ntls_key_file = 'k'";
    assert!(refusal(half, &[]).contains("mesh.tls_ca_file"));
    assert!(refusal("mesh.tls_name = 'n'", &[]).contains("mesh.tls_cert_file"));
    let whole = format!("{half}\ntls_ca_file = 'a'\n[mesh.peers]\nmessages = ['https://a:1']");
    assert_eq!(load(&whole, &[], &json!({})).expect("loads").mesh.peers.len(), 1);
    assert!(refusal(&whole.replace("https", "http"), &[]).contains("https://host:7401"));
}

#[test]
fn a_gateway_is_where_everything_is_or_where_it_is_named() {
    let listens = |toml: &str| load(toml, &[], &json!({})).expect("loads").gateway_listen();
    let usual = Some(SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert_eq!(listens(""), usual);
    assert_eq!(listens("gateway.enabled = false"), None);
    let peers = "[mesh.peers]\nmessages = ['http://10.0.0.1:7401']\nconversations = \
                 ['http://10.0.0.1:7401']\nparticipants = ['http://10.0.0.1:7401']\n\
                 realtime = ['http://10.0.0.1:7401']";
    assert_eq!(listens(&format!("roles = ['messages']\n{peers}")), None);
    let only = format!("roles = ['gateway']\n{peers}");
    assert_eq!(listens(&only), usual);
    let config = load(&only, &[], &json!({})).expect("loads");
    assert!(config.roles().is_empty() && config.roles == [Role::Gateway]);
    let moved = load("", &[], &json!({"gateway": {"listen": "127.0.0.1:9"}})).expect("loads");
    assert_eq!(moved.gateway_listen(), Some(SocketAddr::from(([127, 0, 0, 1], 9))));
}

#[test]
fn a_gateway_of_dev_mode_is_for_this_machine() {
    assert!(refusal("gateway.listen = '0.0.0.0:8080'", &[]).contains("gateway.listen"));
    let elsewhere = "gateway.allowed_origins = ['https://chat.example.com']";
    assert!(refusal(elsewhere, &[]).contains("gateway.allowed_origins"));
    let here = "gateway.allowed_origins = ['http://localhost:5173']";
    assert!(load(here, &[], &json!({})).is_ok());
    assert!(refusal("gateway.body_bytes = 1", &[]).contains("gateway.body_bytes"));
    assert!(refusal("gateway.tls_cert_file = 'c'", &[]).contains("gateway.tls_key_file"));
    assert!(refusal("gateway.allowed_origins = ['*']", &[]).contains("allowed_origins"));
    let peer = "[mesh.peers]\ngateway = ['http://10.0.0.1:7401']";
    assert!(refusal(peer, &[]).contains("mesh.peers"));
    let keys = "[auth]\nissuer = 'https://i.example'\njwks_url = 'https://i.example/k'\n";
    let served = format!(
        "{keys}[gateway]\nlisten = '0.0.0.0:8080'\n\
                          allowed_origins = ['https://chat.example.com']"
    );
    assert!(load(&served, &[], &json!({})).is_ok());
}
