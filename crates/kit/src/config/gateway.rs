//! The section `gateway`: where browsers are served, and whose pages may call.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfigError, invalid};
use crate::{address::is_this_machine, server_tls::ServerTls};

/// The browsers' door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// Whether a process that serves everything is a gateway, too.
    pub enabled: bool,
    /// Address for browsers. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whose pages may call besides its own: `https://chat.example.com`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<Origin>,
    /// The body of a request, in bytes as they come.
    pub body_bytes: u64,
    /// A certificate in PEM, for TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            allowed_origins: Vec::new(),
            body_bytes: 4 * 1024 * 1024,
            tls_cert_file: None,
            tls_key_file: None,
        }
    }
}

impl Gateway {
    pub(super) fn check(&self, dev_mode: bool, request_bytes: usize) -> Result<(), ConfigError> {
        if self.body_bytes < request_bytes as u64 {
            return Err(invalid("gateway.body_bytes", "must not be below limits.request_bytes"));
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            return Err(invalid(
                "gateway.tls_cert_file",
                "and gateway.tls_key_file need each other",
            ));
        }
        let stranger = self.allowed_origins.iter().find(|origin| !origin.is_this_machine());
        match stranger {
            Some(origin) if dev_mode => {
                let problem = format!(
                    "must name this machine in dev mode, because their pages could sign in as \
                     anyone; {origin} does not"
                );
                Err(invalid("gateway.allowed_origins", problem))
            }
            _ => Ok(()),
        }
    }

    /// TLS towards browsers, if it is configured.
    pub fn tls(&self) -> Result<Option<ServerTls>, ConfigError> {
        let (Some(certificate), Some(key)) = (&self.tls_cert_file, &self.tls_key_file) else {
            return Ok(None);
        };
        ServerTls::load(certificate, key).map(Some).map_err(ConfigError::GatewayTls)
    }
}

/// Where a page comes from, as browsers say it in the header `origin`: a scheme, a
/// host, and a port where it is not the scheme's usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_this_machine(&self) -> bool {
        self.0.split_once("://").is_some_and(|(_, authority)| is_this_machine(authority))
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no origin such as https://chat.example.com");
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let (scheme, authority) = scheme.zip(uri.authority()).ok_or_else(bad)?;
        let usual = if scheme == "https" { 443 } else { 80 };
        // Browsers write neither a usual port nor capitals, and nothing after the port.
        let written = format!("{scheme}://{authority}");
        let is_plain = text == written && text == text.to_ascii_lowercase();
        if !is_plain || authority.as_str().contains('@') || authority.port_u16() == Some(usual) {
            return Err(bad());
        }
        Ok(Self(written))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for good in ["https://chat.example.com", "http://localhost:5173", "http://[::1]:8080"] {
            assert_eq!(good.parse::<Origin>().expect(good).as_str(), good);
        }
        for bad in [
            "",
            "*",
            "null",
            "chat.example.com",
            "https://chat.example.com/",
            "https://chat.example.com:443",
            "http://chat.example.com:80",
            "https://Chat.example.com",
            "https://me@chat.example.com",
            "ftp://chat.example.com",
            "https://chat.example.com/app",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
