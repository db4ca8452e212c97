//! Who may call the device.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use ota_rpc::auth::{self, Access, Algorithm, Digest, EVERY_USER, Rule, User};
use serde::Deserialize;

use crate::cli::{forever, read};

#[derive(Args)]
#[group(id = "access")]
pub(super) struct Options {
    /// Somebody who may call the device, by digest authentication; then nobody else may. @FILE: in
    /// the first line of a file. May be repeated
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Vec<String>,
    /// Users in a file of `htdigest`, as rpc.auth_file
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Realm of the passwords, as rpc.auth_domain
    #[arg(long, value_name = "REALM", default_value = "RPC")]
    auth_domain: String,
    /// Algorithm of the passwords, as rpc.auth_algo; files of `htdigest` have md5
    #[arg(long, value_name = "ALGORITHM", default_value = "sha-256")]
    auth_algo: Algo,
    /// Rules in a JSON file, as rpc.acl: [{"method": "OTA.Get*", "acl": "*"}, {"method": "*", "acl":
    /// "+admin"}]; without it every user may do everything
    #[arg(long, value_name = "FILE")]
    acl: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algo {
    Md5,
    #[value(name = "sha-256", alias = "sha256")]
    Sha256,
}

/// A rule of `rpc.acl`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    method: String,
    #[serde(default)]
    ch_type: String,
    acl: String,
}

impl Options {
    /// Users and rules. None: everybody may do everything.
    pub(super) fn read(&self) -> Result<Option<Access<'static>>> {
        if self.creds.is_empty() && self.auth_file.is_none() && self.acl.is_none() {
            return Ok(None);
        }
        let algorithm = match self.auth_algo {
            Algo::Md5 => Algorithm::Md5,
            Algo::Sha256 => Algorithm::Sha256,
        };
        let realm = forever(&self.auth_domain);
        let mut users = Vec::new();
        for text in &self.creds {
            users.push(user_of(text, algorithm, realm)?);
        }
        if let Some(path) = &self.auth_file {
            let text = String::from_utf8(read(path)?)
                .with_context(|| format!("--auth-file {}: not a text", path.display()))?;
            let found = users_of(forever(&text), algorithm, realm)
                .with_context(|| format!("--auth-file {}", path.display()))?;
            users.extend(found);
        }
        let twice = users.iter().enumerate().find(|(at, user)| is_named(&users[..*at], user.name));
        if let Some((_, user)) = twice {
            bail!("there are two passwords for the user {}: give one", user.name);
        }
        let rules = self.rules(&users)?;
        let access = Access::new(realm, algorithm, users.leak(), rules);
        Ok(Some(access.context("users and rules")?))
    }

    fn rules(&self, users: &[User<'_>]) -> Result<&'static [Rule<'static>]> {
        let Some(path) = &self.acl else { return Ok(EVERY_USER) };
        let rules: Vec<RuleText> = serde_json::from_slice(&read(path)?).map_err(|error| {
            let path = path.display();
            let what = if error.is_data() { "no list of rules" } else { "not JSON" };
            anyhow!("--acl {path}: {what}: {error}; give a list such as {EXAMPLE}")
        })?;
        for (index, rule) in rules.iter().enumerate() {
            check_users(rule, users).with_context(|| {
                format!("--acl {}: rule {index}, of {}", path.display(), rule.method)
            })?;
        }
        let rules = rules.into_iter().map(|RuleText { method, ch_type, acl }| {
            let [method, ch_type, acl] = [method, ch_type, acl].map(|text| forever(&text));
            Rule { method, ch_type, acl }
        });
        Ok(rules.collect::<Vec<_>>().leak())
    }
}

/// A list of rules, for messages.
const EXAMPLE: &str = "[{\"method\": \"*\", \"acl\": \"+admin\"}]";

/// The user of `USER:PASSWORD`, or of `@FILE` with that in its first line.
fn user_of(text: &str, algorithm: Algorithm, realm: &str) -> Result<User<'static>> {
    let line = match text.strip_prefix('@') {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--creds {text}: cannot read the file"))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None => text.to_owned(),
    };
    // The password is in no message.
    let (name, password) =
        line.split_once(':').context("--creds: give USER:PASSWORD, or @FILE with it inside")?;
    ensure!(!name.is_empty(), "--creds: the user is empty; give USER:PASSWORD");
    ensure!(!password.is_empty(), "--creds: the password of {name} is empty; give USER:PASSWORD");
    Ok(User { name: forever(name), ha1: Digest::of_password(algorithm, name, realm, password) })
}

/// The users of a realm in a file of `htdigest`, of which there must be one. A line of another realm
/// is nobody's; one of this realm that is no use is a mistake, since its user could never log in.
fn users_of(file: &'static str, algorithm: Algorithm, realm: &str) -> Result<Vec<User<'static>>> {
    let users: Vec<User<'static>> = auth::users(file, realm).collect();
    for (index, line) in file.lines().enumerate() {
        let mut fields = line.trim_ascii_end().splitn(3, ':');
        let (name, found, digest) = (fields.next(), fields.next(), fields.next());
        if let (Some(name), Some(digest)) = (name, digest)
            && found == Some(realm)
            && Digest::from_hex(digest).is_none()
        {
            bail!(
                "line {}: the digest of {name} is not one: 32 (MD5) or 64 (SHA-256) hexadecimal \
                 digits",
                index + 1
            );
        }
    }
    ensure!(
        !users.is_empty(),
        "no line user:{realm}:digest in it; make it with `htdigest -c FILE {realm} USER`, or name \
         its realm with --auth-domain"
    );
    if let Some(user) = users.iter().find(|user| user.ha1.algorithm() != algorithm) {
        let (found, option) = match user.ha1.algorithm() {
            Algorithm::Md5 => ("MD5", "md5"),
            Algorithm::Sha256 => ("SHA-256", "sha-256"),
        };
        bail!("the digest of {} is of {found}: give --auth-algo {option}", user.name);
    }
    Ok(users)
}

fn is_named(users: &[User<'_>], name: &str) -> bool {
    users.iter().any(|user| user.name == name)
}

/// Refuses a rule that names somebody who is none: it is mistyped, or nobody could ever do what it
/// is about.
fn check_users(rule: &RuleText, users: &[User<'_>]) -> Result<()> {
    let acl = rule.acl.trim_ascii();
    if acl == "*" || acl == "-*" {
        return Ok(());
    }
    for entry in acl.split(',').map(str::trim_ascii) {
        // What is no entry at all gets its message from `Access`.
        let Some(name) = entry.strip_prefix(['+', '-']) else { continue };
        ensure!(
            !users.is_empty(),
            "{entry} asks for a user, and there is none: give --creds or --auth-file"
        );
        ensure!(
            name == "*" || is_named(users, name),
            "there is no user {name}: give --creds {name}:PASSWORD, or name one there is"
        );
    }
    Ok(())
}
