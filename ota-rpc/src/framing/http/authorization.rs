//! The header `Authorization: Digest`, of RFC 7616.

use super::parameters::{BadHeader, Parameters, is_space};

/// What a request says of who sends it, and what the answer to a challenge is about.
#[derive(Clone, Copy, Debug)]
pub struct Authorization<'a> {
    /// The method: `POST`.
    pub method: &'a str,
    /// The target as it came in the first line, with its query: `/rpc`.
    pub target: &'a str,
    /// The value of the header `Authorization`.
    pub header: &'a str,
}

/// The parameters of such a header, as they were written: without quotes, but with all escapes in
/// them, which nothing that a device accepts has. Those that it does not need are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestFields<'a> {
    /// Who it is.
    pub username: Option<&'a str>,
    /// Where that name holds.
    pub realm: Option<&'a str>,
    /// What the challenge has said.
    pub nonce: Option<&'a str>,
    /// The target of the request.
    pub uri: Option<&'a str>,
    /// The answer.
    pub response: Option<&'a str>,
    /// The hash; none is MD5.
    pub algorithm: Option<&'a str>,
    /// What the client adds to the nonce.
    pub cnonce: Option<&'a str>,
    /// What is protected: `auth`.
    pub qop: Option<&'a str>,
    /// How often the nonce was used.
    pub nc: Option<&'a str>,
}

impl<'a> DigestFields<'a> {
    /// Reads the header, with parameters in any order, quoted or not. None if it has another scheme
    /// than digest: then it is as if there were none.
    ///
    /// # Errors
    /// [`BadHeader`]. Never panics.
    pub fn parse(header: &'a str) -> Result<Option<Self>, BadHeader> {
        let header = header.trim_ascii();
        let (scheme, rest) = header.split_once(is_space).unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Ok(None);
        }
        let mut fields = Self::default();
        for parameter in Parameters::new(rest, ',') {
            let (name, value) = parameter?;
            if let Some(field) = fields.field(name)
                && field.replace(value).is_some()
            {
                return Err(BadHeader);
            }
        }
        Ok(Some(fields))
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        let fields = [
            ("username", &mut self.username),
            ("realm", &mut self.realm),
            ("nonce", &mut self.nonce),
            ("uri", &mut self.uri),
            ("response", &mut self.response),
            ("algorithm", &mut self.algorithm),
            ("cnonce", &mut self.cnonce),
            ("qop", &mut self.qop),
            ("nc", &mut self.nc),
        ];
        let mut fields = fields.into_iter();
        fields.find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, field)| field)
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const RECORDED: &str = r#"Digest username="admin", realm="RPC", uri="/rpc", algorithm=SHA-256, nonce="6aa1b2c3", nc=00000001, cnonce="1279876419", qop=auth, response="886c""#;

    fn recorded() -> DigestFields<'static> {
        DigestFields {
            username: Some("admin"),
            realm: Some("RPC"),
            nonce: Some("6aa1b2c3"),
            uri: Some("/rpc"),
            response: Some("886c"),
            algorithm: Some("SHA-256"),
            cnonce: Some("1279876419"),
            qop: Some("auth"),
            nc: Some("00000001"),
        }
    }

    #[test]
    fn the_header_of_mos_is_read() {
        assert_eq!(DigestFields::parse(RECORDED), Ok(Some(recorded())));
        let spaced = RECORDED.replace(", ", " ,\t").replace('=', " = ");
        assert_eq!(DigestFields::parse(&spaced), Ok(Some(recorded())));
        let unquoted = RECORDED.replace('"', "").replace("Digest", "  dIGEST ");
        assert_eq!(DigestFields::parse(&unquoted), Ok(Some(recorded())));
        let extra = format!(r#"{RECORDED}, opaque="a,b=\"c\"", userhash=false,,"#);
        assert_eq!(DigestFields::parse(&extra), Ok(Some(recorded())));
    }

    #[test]
    fn other_schemes_are_not_looked_at() {
        for header in ["", "Basic YWRtaW46c2VjcmV0", "Bearer x=", "Digestive a=b", "DigestX"] {
            assert_eq!(DigestFields::parse(header), Ok(None), "{header}");
        }
        assert_eq!(DigestFields::parse("Digest"), Ok(Some(DigestFields::default())));
    }

    #[test]
    fn what_is_no_list_of_parameters_is_refused() {
        for header in [
            "Digest nonce",
            "Digest =x",
            "Digest nonce=\"x",
            "Digest nonce=\"x\\\"",
            "Digest nonce=\"x\"y",
            "Digest nonce=x y",
            "Digest nonce=x\"y",
            "Digest a b=c",
            "Digest nonce=x, NONCE=y",
            "Digest username=a, realm=b, username=a",
        ] {
            assert_eq!(DigestFields::parse(header), Err(BadHeader), "{header}");
        }
        let empty = DigestFields::parse(r#"Digest nonce="""#).unwrap().unwrap();
        assert_eq!(empty.nonce, Some(""));
    }

    proptest! {
        #[test]
        fn nothing_panics(header in "Digest .{0,60}|Digest [a=\", \\\\]{0,20}") {
            let _ = DigestFields::parse(&header);
        }

        #[test]
        fn any_order_will_do(order in Just((0..9).collect::<Vec<_>>()).prop_shuffle()) {
            let parts: Vec<_> = RECORDED.strip_prefix("Digest ").unwrap().split(", ").collect();
            let shuffled: Vec<_> = order.iter().map(|index: &usize| parts[*index]).collect();
            let header: String = format!("Digest {}", shuffled.join(","));
            prop_assert_eq!(DigestFields::parse(&header), Ok(Some(recorded())));
        }
    }
}
