//! Patterns in access rules: `OTA.*`, `RPC.????`, `OTA.GetBootState|Sys.GetInfo`.

/// Whether `text` as a whole is what `pattern` describes. `*` is any characters or none, `?` any
/// one, `|` separates alternatives; upper and lower case of ASCII are the same.
pub(super) fn matches(pattern: &str, text: impl Iterator<Item = char> + Clone) -> bool {
    pattern.split('|').any(|pattern| matches_one(pattern, text.clone()))
}

/// Only the last `*` is ever gone back to, so the time is at most the product of the lengths.
fn matches_one(pattern: &str, mut text: impl Iterator<Item = char> + Clone) -> bool {
    let mut pattern = pattern.chars();
    // Behind the last `*`, and the text that was there when it was met.
    let mut star = None;
    loop {
        let here = text.clone();
        match (pattern.next(), text.next()) {
            (Some('*'), _) => {
                text = here;
                star = Some((pattern.clone(), text.clone()));
            }
            (None, None) => return true,
            (Some(wanted), Some(c)) if wanted == '?' || wanted.eq_ignore_ascii_case(&c) => {}
            (Some(_), None) => return false,
            (_, Some(_)) => {
                // That `*` takes one character more, and the rest is tried again.
                let Some((after, from)) = &mut star else { return false };
                from.next();
                (pattern, text) = (after.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use proptest::prelude::*;

    use super::matches;

    #[test]
    fn patterns_are_those_of_mongoose() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "OTA.Update", true),
            ("OTA.*", "OTA.Update", true),
            ("ota.*", "OTA.UPDATE", true),
            ("OTA.*", "OTAX.Update", false),
            ("OTA.*", "OTA", false),
            ("OTA.", "OTA.Update", false),
            ("OTA.Update", "OTA.Update2", false),
            ("OTA.Update", "XOTA.Update", false),
            ("*.Get*", "OTA.GetBootState", true),
            ("*.Get*", "OTA.SetBootState", false),
            ("*e", "eeeE", true),
            ("*ab*ab", "ababab", true),
            ("*ab*ab", "ab", false),
            ("RPC.????", "RPC.Ping", true),
            ("RPC.????", "RPC.Pin", false),
            ("OTA.GetBootState|RPC.*", "rpc.list", true),
            ("OTA.GetBootState|RPC.*", "OTA.GetBootState", true),
            ("OTA.GetBootState|RPC.*", "OTA.Revert", false),
            ("", "", true),
            ("", "a", false),
            ("?", "é", true),
            ("É", "é", false),
        ] {
            assert_eq!(matches(pattern, text.chars()), expected, "{pattern} {text}");
        }
    }

    /// The same by recursion over all possibilities.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|taken| oracle(rest, &text[taken..])),
            [c, rest @ ..] => match text {
                [d, others @ ..] if *c == '?' || c.eq_ignore_ascii_case(d) => oracle(rest, others),
                _ => false,
            },
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_by_definition(pattern in "[aB*?]{0,7}", text in "[Ab]{0,9}") {
            let chars = |text: &String| text.chars().collect::<std::vec::Vec<_>>();
            let expected = oracle(&chars(&pattern), &chars(&text));
            prop_assert_eq!(matches(&pattern, text.chars()), expected);
        }
    }
}
