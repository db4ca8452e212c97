//! Who may call the device.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use ota_rpc::auth::{self, Access, Algorithm, Digest, EVERY_USER, Rule, User};
use serde::Deserialize;

use crate::cli::{forever, read};

#[derive(Args)]
#[group(id = "access")]
pub(super) struct Options {
    /// Somebody who may call the device, by digest authentication; then nobody else may. May be
    /// repeated
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
            let (name, password) = text.split_once(':').context("--creds: give USER:PASSWORD")?;
            let ha1 = Digest::of_password(algorithm, name, realm, password);
            users.push(User { name: forever(name), ha1 });
        }
        if let Some(path) = &self.auth_file {
            let text = String::from_utf8(read(path)?)
                .with_context(|| format!("--auth-file {}: not a text", path.display()))?;
            let before = users.len();
            users.extend(auth::users(forever(&text), realm));
            ensure!(
                users.len() > before,
                "--auth-file {}: no line user:{realm}:digest in it; make it with `htdigest -c FILE \
                 {realm} USER`, or name its realm with --auth-domain",
                path.display()
            );
        }
        let access = Access::new(realm, algorithm, users.leak(), self.rules()?);
        Ok(Some(access.context("users and rules (files of `htdigest` want --auth-algo md5)")?))
    }

    fn rules(&self) -> Result<&'static [Rule<'static>]> {
        let Some(path) = &self.acl else { return Ok(EVERY_USER) };
        let rules: Vec<RuleText> = serde_json::from_slice(&read(path)?).with_context(|| {
            format!(
                "--acl {}: give a list such as [{{\"method\": \"*\", \"acl\": \"+admin\"}}]",
                path.display()
            )
        })?;
        let rules = rules.into_iter().map(|RuleText { method, ch_type, acl }| {
            let [method, ch_type, acl] = [method, ch_type, acl].map(|text| forever(&text));
            Rule { method, ch_type, acl }
        });
        Ok(rules.collect::<Vec<_>>().leak())
    }
}
