//! Which pages may ask anything here. A browser says where a page comes from (`origin`)
//! and whom it means to ask (`host`), and no page can make it lie about either.
//!
//! Outside of dev mode a call needs a token that a foreign page does not have; what is
//! refused here is refused earlier. In dev mode whoever may ask at all may be anyone:
//! so the host must be this machine, too, or a page could point a name of its own at
//! 127.0.0.1 and be of the same origin (DNS rebinding).

use confab_kit::{address::is_this_machine, config::Origin};
use confab_log::mutant;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{HOST, ORIGIN},
};
use tonic::body::Body;

use crate::plain;

/// Whose pages may ask.
#[derive(Debug)]
pub(crate) struct Rules {
    dev_mode: bool,
    allowed: Vec<Origin>,
}

/// Where a request that may be answered comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// From a page of the gateway's own, or from no page.
    Own,
    /// From a page of another site that is allowed: its origin.
    Allowed(HeaderValue),
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It does not say whom it asks, or says it twice.
    NoHost,
    /// It asks for somebody else.
    WrongHost,
    /// It comes from another site's page.
    WrongOrigin,
}

impl Refusal {
    /// For people: the page that asked must not be able to read it.
    pub(crate) fn response(self) -> Response<Body> {
        let (reason, text) = match self {
            Self::NoHost => ("NO_HOST", "the request must name its host, once\n"),
            Self::WrongHost => ("WRONG_HOST", "in dev mode this address is this machine's only\n"),
            Self::WrongOrigin => ("WRONG_ORIGIN", "pages of other sites may not ask here\n"),
        };
        metrics::counter!("confab_gateway_refusals_total", "reason" => reason).increment(1);
        let status =
            if self == Self::NoHost { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
        plain::text(status, text)
    }
}

impl Rules {
    pub(crate) fn new(dev_mode: bool, allowed: Vec<Origin>) -> Self {
        Self { dev_mode, allowed }
    }

    /// Whether the request may be answered, and for whom.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<Site, Refusal> {
        let host = self.host(request)?;
        let Some(origin) = once(request.headers(), &ORIGIN).map_err(|()| Refusal::WrongOrigin)?
        else {
            return Ok(Site::Own);
        };
        let text = origin.to_str().unwrap_or_default();
        if is_own(text, host) {
            return Ok(Site::Own);
        }
        let is_allowed = self.allowed.iter().any(|allowed| allowed.as_str() == text);
        if is_allowed || mutant::is("gateway-any-origin") {
            return Ok(Site::Allowed(origin.clone()));
        }
        Err(Refusal::WrongOrigin)
    }

    /// Whom the request asks: HTTP/2 says it in the URI, HTTP/1.1 in a header. Where
    /// both are there, both must be right.
    fn host<'a, B>(&self, request: &'a Request<B>) -> Result<&'a str, Refusal> {
        let header = once(request.headers(), &HOST).map_err(|()| Refusal::NoHost)?;
        let header = header.map(|host| host.to_str().map_err(|_| Refusal::NoHost)).transpose()?;
        let uri = request.uri().authority().map(http::uri::Authority::as_str);
        let host = uri.or(header).ok_or(Refusal::NoHost)?;
        let is_right = [uri, header].into_iter().flatten().all(is_this_machine);
        if self.dev_mode && !is_right && !mutant::is("gateway-dev-token-any-host") {
            return Err(Refusal::WrongHost);
        }
        Ok(host)
    }
}

/// Whether a page of this origin is of the host that is asked. An origin never names its
/// scheme's usual port; whoever passes requests on may.
fn is_own(origin: &str, host: &str) -> bool {
    [("http://", ":80"), ("https://", ":443")].into_iter().any(|(scheme, usual_port)| {
        origin.strip_prefix(scheme).is_some_and(|page_host| {
            page_host.eq_ignore_ascii_case(host.strip_suffix(usual_port).unwrap_or(host))
        })
    })
}

/// A header that must not be there twice.
fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}
