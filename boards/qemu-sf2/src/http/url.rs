//! `http://HOST[:PORT][/PATH][?QUERY]`.

use core::fmt;
use core::net::Ipv4Addr;

use super::{FAILED, Failure};

/// A URL that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'u> {
    /// Who is asked.
    pub host: Host<'u>,
    /// TCP port.
    pub port: u16,
    /// Host and port as they were given, for the header `Host`.
    pub authority: &'u str,
    /// Path and query, which may lack the slash at the start.
    target: &'u str,
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'u> {
    /// Its address.
    Address(Ipv4Addr),
    /// Its name, for DNS.
    Name(&'u str),
}

impl<'u> Url<'u> {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`Failure`]: it is none, or one that this device does not understand.
    pub fn parse(text: &'u str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(FAILED, format_args!("Invalid URL: {why}; give http://HOST[:PORT]/PATH"))
        };
        // Nothing of a URL can end a line of the request, or a word of it.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("spaces and characters beyond ASCII must be written as %XX"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no ://"))?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(wrong("this board has no TLS"));
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(wrong("it does not begin with http://"));
        }
        // A fragment is not for the server.
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("users and passwords are not understood"));
        }
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, port.parse().ok().filter(|port| *port > 0)),
            None => (authority, Some(80)),
        };
        let port = port.ok_or_else(|| wrong("the port is no number from 1 to 65535"))?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(wrong("the host is neither a name nor an IPv4 address"));
        }
        let host = name.parse().map_or(Host::Name(name), Host::Address);
        Ok(Self { host, port, authority, target })
    }
}

/// What is asked for: path and query.
impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.target.starts_with('/') { "" } else { "/" };
        write!(f, "{slash}{}", self.target)
    }
}
