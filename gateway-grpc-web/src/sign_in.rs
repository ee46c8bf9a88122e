//! The sign-in of dev mode: anyone who may ask here may be anyone. Outside of dev mode
//! nothing of it exists. Who may ask is settled before (see `origin`); a content type
//! that no form can send is asked for all the same.

use std::time::Duration;

use confab_kit::{
    clock,
    identity::{Claims, DEV_ISSUER, DevKey, Verifier},
};
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use tonic::body::Body;

use crate::plain;

/// Says whether this is dev mode.
const PAGE: &str = "/dev";
/// Gives out tokens.
const TOKEN: &str = "/dev/token";
/// A request has a name or four in it.
const MAX_BODY_BYTES: usize = 4096;
/// And comes in this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a token is good, in seconds, unless its request says otherwise.
const LIFETIME: i64 = 86_400;

/// Signs tokens for whoever asks.
#[derive(Debug)]
pub struct SignIn {
    /// What signs.
    pub key: DevKey,
    /// What proves that a token will be accepted before it is given out.
    pub verifier: Verifier,
    /// Whose users they are.
    pub tenant: String,
    /// The `aud` of the tokens.
    pub audience: String,
    /// The longest that a token may live, in seconds.
    pub max_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    user: String,
    /// Of a browser; `web` when absent.
    device_id: Option<String>,
    /// To go on with a session whose token ends; a new one when absent.
    session_id: Option<String>,
    /// In seconds; a day when absent.
    lifetime_seconds: Option<i64>,
}

pub(crate) fn is_path(path: &str) -> bool {
    path == PAGE || path == TOKEN
}

impl SignIn {
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if request.uri().path() == PAGE {
            return match *request.method() {
                Method::GET | Method::HEAD => {
                    plain::json(StatusCode::OK, &json!({ "dev": true, "tenant": self.tenant }))
                }
                _ => plain::only("GET, HEAD"),
            };
        }
        if request.method() != Method::POST {
            return plain::only("POST");
        }
        if !is_json(&request) {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return refusal(status, "the content type must be application/json");
        }
        let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
        let body = match timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long");
            }
            Ok(Err(_)) => return refusal(StatusCode::BAD_REQUEST, "the request has broken off"),
            Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
        };
        match serde_json::from_slice(&body.to_bytes()) {
            Ok(asked) => self.token(asked).await,
            Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }

    async fn token(&self, asked: TokenRequest) -> Response<Body> {
        let lifetime = asked.lifetime_seconds.unwrap_or(LIFETIME);
        let longest = i64::try_from(self.max_seconds).unwrap_or(i64::MAX);
        if lifetime <= 0 || (asked.lifetime_seconds.is_some() && lifetime > longest) {
            let problem = format!("lifetime_seconds must be from 1 to {longest}");
            return refusal(StatusCode::BAD_REQUEST, &problem);
        }
        let fresh = Claims::user(&self.tenant, &asked.user);
        let claims = Claims {
            iss: DEV_ISSUER.to_owned(),
            aud: self.audience.clone(),
            exp: clock::now_seconds().saturating_add(lifetime.min(longest)),
            device_id: Some(asked.device_id.unwrap_or_else(|| "web".to_owned())),
            session_id: asked.session_id.or_else(|| fresh.session_id.clone()),
            ..fresh
        };
        let token = self.key.sign(&claims);
        // The names in it are good if whoever believes it says so.
        if let Err(error) = self.verifier.verify(&token).await {
            return refusal(StatusCode::BAD_REQUEST, error.message());
        }
        let expires_at = clock::rfc3339(claims.exp);
        plain::json(StatusCode::OK, &json!({ "token": token, "expires_at": expires_at }))
    }
}

fn is_json<B>(request: &Request<B>) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn refusal(status: StatusCode, problem: &str) -> Response<Body> {
    plain::json(status, &json!({ "error": problem }))
}
