//! Where a device is, and the topics of its messages.
//!
//! ```text
//! address    /rt:dev/rn:NAME/ad:1/sv:ota/ad:7
//! commands   pt:j1/mt:cmd + address         pt:j1/mt:cmd/rt:ad/rn:NAME/ad:1
//! reports    pt:j1/mt:evt + address         pt:j1/mt:evt/rt:ad/rn:NAME/ad:1
//! ```

use core::fmt;

use ota_core::json::Text;

use crate::limits::MAX_REPLY_TOPIC_BYTES;

/// The name of the service.
pub(super) const SERVICE: &str = "ota";
/// JSON, version 1.
const PAYLOAD: &str = "pt:j1";

/// The address of a device's `ota` service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'d> {
    /// `rn`: the adapter, which is also `src` of the messages.
    pub resource: &'d str,
    /// The first `ad`: which adapter of that name; `1` on a hub.
    pub adapter: &'d str,
    /// The second `ad`: the device, with a group behind `_` if it has several.
    pub thing: &'d str,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AddressError {
    /// It has other segments.
    Segments,
    /// The adapter's name has something else than ASCII letters, digits, `_` and `-`, or is empty or
    /// longer than [`Address::MAX_NAME_BYTES`].
    Name,
    /// An `ad` has something else than ASCII letters and digits (and one `_` in the device's), or is
    /// empty or longer than [`Address::MAX_NAME_BYTES`].
    Ad,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Segments => "an address is /rt:dev/rn:NAME/ad:1/sv:ota/ad:THING",
            Self::Name => "the name behind rn: has 1 to 32 ASCII letters, digits, _ and -",
            Self::Ad => {
                "what is behind ad: has 1 to 32 ASCII letters and digits; a group may follow a _"
            }
        })
    }
}

impl core::error::Error for AddressError {}

impl<'d> Address<'d> {
    /// The longest name of a segment, in bytes.
    pub const MAX_NAME_BYTES: usize = 32;

    /// Reads `/rt:dev/rn:NAME/ad:1/sv:ota/ad:THING`; the first slash may be missing.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &'d str) -> Result<Self, AddressError> {
        let mut segments = text.strip_prefix('/').unwrap_or(text).split('/');
        let mut segment = |key: &str| {
            let found = segments.next()?.split_once(':')?;
            (found.0 == key).then_some(found.1)
        };
        let fields = [segment("rt"), segment("rn"), segment("ad"), segment("sv"), segment("ad")];
        let [Some("dev"), Some(resource), Some(adapter), Some(SERVICE), Some(thing)] = fields
        else {
            return Err(AddressError::Segments);
        };
        if segments.next().is_some() {
            return Err(AddressError::Segments);
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !has_only(resource, is_name) {
            return Err(AddressError::Name);
        }
        let (device, group) = thing.split_once('_').unwrap_or((thing, "0"));
        let is_ad = |ad| has_only(ad, |c| c.is_ascii_alphanumeric());
        if ![adapter, device, group].into_iter().all(is_ad) {
            return Err(AddressError::Ad);
        }
        Ok(Self { resource, adapter, thing })
    }

    /// The device, and its group: `7_0` is `7` and `0`; so is `7`.
    pub(super) fn device_and_group(&self) -> (&'d str, &'d str) {
        self.thing.split_once('_').unwrap_or((self.thing, "0"))
    }

    /// What a device subscribes to, with QoS 1: all that is for this adapter.
    pub fn subscriptions(&self) -> [Subscription<'d>; 2] {
        [true, false].map(|is_device| Subscription { address: *self, is_device })
    }

    /// What a topic says of the message. None: it is somebody else's, or none of a command, or has
    /// characters that a reply's topic could not have.
    pub(super) fn target<'t>(&self, topic: &'t str) -> Option<Target<'t>> {
        let rest = topic.strip_prefix(PAYLOAD)?.strip_prefix("/mt:cmd/rt:")?;
        let (kind, rest) = rest.split_once("/rn:")?;
        let rest = rest.strip_prefix(self.resource)?.strip_prefix("/ad:")?;
        let rest = rest.strip_prefix(self.adapter)?;
        match kind {
            "ad" => rest.is_empty().then_some(Target::Adapter),
            "dev" => {
                let (service, thing) = rest.strip_prefix("/sv:")?.split_once("/ad:")?;
                let is_fair = [service, thing].into_iter().all(is_fair);
                is_fair.then_some(Target::Device {
                    service,
                    is_ours: service == SERVICE && thing == self.thing,
                })
            }
            _ => None,
        }
    }
}

fn has_only(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    (1..=Address::MAX_NAME_BYTES).contains(&text.len()) && text.chars().all(allowed)
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, adapter, thing } = self;
        write!(f, "/rt:dev/rn:{resource}/ad:{adapter}/sv:{SERVICE}/ad:{thing}")
    }
}

/// A topic filter; its text is what [`fmt::Display`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'d> {
    address: Address<'d>,
    is_device: bool,
}

impl fmt::Display for Subscription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { resource, adapter, .. } = self.address;
        let (kind, rest) = if self.is_device { ("dev", "/#") } else { ("ad", "") };
        write!(f, "{PAYLOAD}/mt:cmd/rt:{kind}/rn:{resource}/ad:{adapter}{rest}")
    }
}

/// Whom a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'t> {
    /// The adapter.
    Adapter,
    /// A service of a device.
    Device { service: &'t str, is_ours: bool },
}

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// The device's `ota` service.
    Device,
    /// The adapter.
    Adapter,
}

/// A topic to publish to.
pub type Topic = heapless::String<MAX_REPLY_TOPIC_BYTES>;

/// The topic of what nobody has asked for.
pub(super) fn event(address: &Address<'_>, face: Face) -> Topic {
    let mut topic = Topic::new();
    let Address { resource, adapter, .. } = address;
    // Names are short: it fits.
    let _ = match face {
        Face::Device => fmt::write(&mut topic, format_args!("{PAYLOAD}/mt:evt{address}")),
        Face::Adapter => fmt::write(
            &mut topic,
            format_args!("{PAYLOAD}/mt:evt/rt:ad/rn:{resource}/ad:{adapter}"),
        ),
    };
    topic
}

/// The topic of a direct reply: where the request says, if that makes a topic of replies or reports,
/// or else the request's own with `evt` instead of `cmd`.
pub(super) fn reply(request: &str, resp_to: Option<Text<'_>>) -> Topic {
    let asked = resp_to.and_then(|topic| topic.decode_into().ok());
    if let Some(topic) = asked.filter(|topic: &Topic| may_be_replied_to(topic)) {
        return topic;
    }
    let mut topic = Topic::new();
    let (head, tail) = request.split_once("/mt:cmd/").unwrap_or((request, ""));
    // What is too long is a topic that is not ours, and then there is none.
    if fmt::write(&mut topic, format_args!("{head}/mt:evt/{tail}")).is_err() {
        topic.clear();
    }
    topic
}

/// The grammar of topics, and no command: a reply must not be one to somebody else, nor be taken for
/// what another device reports.
fn may_be_replied_to(topic: &str) -> bool {
    let start = match topic.starts_with("pt:") {
        true => Some(topic),
        // A site's name may come first, which is none that brokers have for themselves.
        false => {
            let site = topic.split_once('/');
            site.filter(|(site, _)| !site.is_empty() && !site.starts_with('$')).map(|it| it.1)
        }
    };
    let mut segments = start.unwrap_or_default().split('/');
    let is_segment = |segment: &str| {
        segment.split_once(':').is_some_and(|(key, value)| is_fair(key) && is_fair(value))
    };
    segments.next() == Some(PAYLOAD)
        && match (segments.next(), segments.clone().next()) {
            (Some("mt:rsp"), Some(kind)) => kind.starts_with("rt:"),
            (Some("mt:evt"), kind) => matches!(kind, Some("rt:app" | "rt:cloud")),
            _ => false,
        }
        && segments.all(is_segment)
        && topic.chars().all(|c| !c.is_control() && !matches!(c, '+' | '#'))
}

/// What may be published to: not empty, without separators, wildcards and characters that no broker
/// takes.
fn is_fair(name: &str) -> bool {
    let fair = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '~');
    !name.is_empty() && name.chars().all(fair)
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["/rt:dev/rn:zw/ad:1/sv:ota/ad:7", "/rt:dev/rn:x_y-2/ad:b/sv:ota/ad:aB3_0"] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(Address::parse(&text[1..]), Ok(address));
        }
        let address = Address::parse("rt:dev/rn:zw/ad:1/sv:ota/ad:7_2").unwrap();
        assert_eq!(address.device_and_group(), ("7", "2"));
        let filters = address.subscriptions().map(|filter| filter.to_string());
        assert_eq!(filters, ["pt:j1/mt:cmd/rt:dev/rn:zw/ad:1/#", "pt:j1/mt:cmd/rt:ad/rn:zw/ad:1"]);
        let long = "x".repeat(33);
        for (text, error) in [
            ("", AddressError::Segments),
            ("//rt:dev/rn:zw/ad:1/sv:ota/ad:7", AddressError::Segments),
            ("/rt:dev/rn:zw/ad:1/sv:ota", AddressError::Segments),
            ("/rt:dev/rn:zw/ad:1/sv:ota/ad:7/", AddressError::Segments),
            ("/rt:ad/rn:zw/ad:1/sv:ota/ad:7", AddressError::Segments),
            ("/rt:dev/rn:zw/ad:1/sv:lock/ad:7", AddressError::Segments),
            ("/rt:dev/rn:/ad:1/sv:ota/ad:7", AddressError::Name),
            ("/rt:dev/rn:a b/ad:1/sv:ota/ad:7", AddressError::Name),
            ("/rt:dev/rn:#/ad:1/sv:ota/ad:7", AddressError::Name),
            (&format!("/rt:dev/rn:{long}/ad:1/sv:ota/ad:7"), AddressError::Name),
            ("/rt:dev/rn:zw/ad:/sv:ota/ad:7", AddressError::Ad),
            ("/rt:dev/rn:zw/ad:1/sv:ota/ad:aa:bb", AddressError::Ad),
            ("/rt:dev/rn:zw/ad:1/sv:ota/ad:7_", AddressError::Ad),
            ("/rt:dev/rn:zw/ad:1/sv:ota/ad:7_0_0", AddressError::Ad),
            (&format!("/rt:dev/rn:zw/ad:1/sv:ota/ad:{long}"), AddressError::Ad),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }

    /// Names are so short that no topic of ours is cut off.
    #[test]
    fn the_longest_address_has_room_in_a_topic() {
        let long = "x".repeat(Address::MAX_NAME_BYTES);
        let thing = format!("{long}_{long}");
        let address = Address { resource: &long, adapter: &long, thing: &thing };
        assert_eq!(event(&address, Face::Device), *format!("pt:j1/mt:evt{address}"));
    }
}
