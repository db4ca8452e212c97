//! Answers to challenges, in frames and over HTTP: `docs/rpc-auth.md`.

use ota_rpc::auth::{Algorithm, Digest};
use ota_rpc::framing::http::DigestFields;
use serde_json::{Value, json};

use super::CallError;

/// A user and what proves that.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
    /// Challenges of MD5 are not answered: an answer to one is easier to guess the password from.
    pub only_sha256: bool,
}

impl std::fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The challenge in a reply: the message of an error 401.
pub(super) fn challenge(reply: &Value) -> Option<Value> {
    let error = reply.get("error").filter(|error| error["code"] == 401)?;
    serde_json::from_str(error["message"].as_str()?).ok()
}

/// The member `auth` of the frame that answers it.
pub(super) fn answer(challenge: Value, credentials: &Credentials) -> Result<Value, CallError> {
    let bad = |what: &str| CallError::Challenge(format!("{what}: {challenge}"));
    let algorithm = algorithm(challenge["algorithm"].as_str(), credentials).map_err(bad)?;
    let realm = challenge["realm"].as_str().ok_or_else(|| bad("no realm"))?;
    let nonce = challenge["nonce"].as_u64().ok_or_else(|| bad("no nonce"))?;
    let cnonce = random()?;
    let Credentials { user, password, .. } = credentials;
    let ha1 = Digest::of_password(algorithm, user, realm, password);
    let ha2 = Digest::of(algorithm, format_args!("dummy_method:dummy_uri"));
    let response = Digest::of(algorithm, format_args!("{ha1}:{nonce}:1:{cnonce}:auth:{ha2}"));
    let mut auth = json!({
        "realm": realm,
        "username": user,
        "nonce": nonce,
        "cnonce": cnonce,
        "algorithm": algorithm.name(),
        "response": response.to_string(),
    });
    if let Some(opaque) = challenge.get("opaque") {
        auth["opaque"] = opaque.clone();
    }
    Ok(auth)
}

/// A challenge of HTTP, and how often it was answered.
pub(super) struct HttpLogin {
    realm: String,
    nonce: String,
    algorithm: Algorithm,
    count: u32,
}

impl HttpLogin {
    /// Of the header `WWW-Authenticate`.
    pub(super) fn of(header: &str, credentials: &Credentials) -> Result<Self, CallError> {
        let bad = |what: &str| CallError::Challenge(format!("{what}: {header}"));
        let fields = DigestFields::parse(header).map_err(|_| bad("malformed"))?;
        let fields = fields.ok_or_else(|| bad("not by digest"))?;
        let algorithm = algorithm(fields.algorithm, credentials).map_err(bad)?;
        let realm = fields.realm.ok_or_else(|| bad("no realm"))?.to_owned();
        let nonce = fields.nonce.ok_or_else(|| bad("no nonce"))?.to_owned();
        Ok(Self { realm, nonce, algorithm, count: 0 })
    }

    /// The header `Authorization` of the next request.
    pub(super) fn answer(
        &mut self,
        method: &str,
        uri: &str,
        credentials: &Credentials,
    ) -> Result<String, CallError> {
        self.count += 1;
        let Self { realm, nonce, algorithm, count } = self;
        let Credentials { user, password, .. } = credentials;
        let cnonce = random()?;
        let ha1 = Digest::of_password(*algorithm, user, realm, password);
        let ha2 = Digest::of(*algorithm, format_args!("{method}:{uri}"));
        let response =
            Digest::of(*algorithm, format_args!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth:{ha2}"));
        Ok(format!(
            "Digest username=\"{user}\", realm=\"{realm}\", uri=\"{uri}\", nonce=\"{nonce}\", \
             nc={count:08x}, cnonce=\"{cnonce}\", qop=auth, response=\"{response}\", algorithm={}",
            algorithm.name()
        ))
    }
}

fn algorithm(name: Option<&str>, credentials: &Credentials) -> Result<Algorithm, &'static str> {
    match name {
        Some("SHA-256") => Ok(Algorithm::Sha256),
        None | Some("MD5") if credentials.only_sha256 => {
            Err("MD5, and --auth-algo says that only SHA-256 will do")
        }
        None | Some("MD5") => Ok(Algorithm::Md5),
        Some(_) => Err("an unknown algorithm"),
    }
}

fn random() -> Result<u32, CallError> {
    getrandom::u32().map_err(|error| CallError::Challenge(format!("no random numbers: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(only_sha256: bool) -> Credentials {
        Credentials { user: "admin".to_owned(), password: "secret".to_owned(), only_sha256 }
    }

    #[test]
    fn a_challenge_is_an_error_whose_message_is_json() {
        let message = r#"{"auth_type": "digest", "nonce": 7, "nc": 1, "realm": "RPC", "algorithm": "SHA-256"}"#;
        let found = challenge(&json!({ "error": { "code": 401, "message": message } })).unwrap();
        let auth = answer(found.clone(), &credentials(true)).unwrap();
        assert_eq!(auth["nonce"], 7);
        assert_eq!(auth["response"].as_str().unwrap().len(), 64);
        assert_eq!(challenge(&json!({ "error": { "code": 401, "message": "no" } })), None);
        assert_eq!(challenge(&json!({ "error": { "code": 403, "message": message } })), None);
        let mut md5 = found;
        md5["algorithm"] = "MD5".into();
        assert!(answer(md5.clone(), &credentials(true)).is_err());
        assert!(answer(md5, &credentials(false)).is_ok());
    }

    #[test]
    fn a_nonce_of_http_is_counted() {
        let header = r#"Digest qop="auth", realm="RPC", nonce="6aa1b2c3", algorithm=MD5"#;
        assert!(HttpLogin::of(header, &credentials(true)).is_err());
        let mut login = HttpLogin::of(header, &credentials(false)).unwrap();
        for count in ["nc=00000001", "nc=00000002"] {
            let answer = login.answer("POST", "/rpc", &credentials(false)).unwrap();
            assert!(answer.contains(count) && answer.ends_with("algorithm=MD5"), "{answer}");
        }
        assert!(HttpLogin::of("Basic realm=\"x\"", &credentials(false)).is_err());
    }
}
