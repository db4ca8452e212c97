//! Whether a peer may do something.

use super::{Config, Reply, Service};
use crate::channel::{Channel, ChannelKind};
use crate::platform::Platform;

/// Proof that a peer may upload an update: [`Service::permit_upload`].
#[derive(Debug)]
pub struct Permit(());

/// The method whose rules hold for uploads, which are no calls of a method.
#[cfg(feature = "auth")]
const UPLOAD: &str = "OTA.Update";

impl Config<'_> {
    /// Whether somebody without a password can change anything over this kind of channel. A host
    /// should not listen to others than itself then, unless it was told to in so many words.
    pub fn is_open(&self, kind: ChannelKind) -> bool {
        crate::methods::changing().any(|method| self.anybody_may(method, kind))
    }

    #[cfg(feature = "auth")]
    fn anybody_may(&self, method: &str, kind: ChannelKind) -> bool {
        use crate::auth::Demand;
        self.access.is_none_or(|access| access.demand(method.chars(), kind) == Demand::Nothing)
    }

    #[cfg(not(feature = "auth"))]
    fn anybody_may(&self, _method: &str, _kind: ChannelKind) -> bool {
        true
    }
}

impl<P: Platform> Service<'_, P> {
    /// Whether the peer may upload a file, for which there is no frame: whether it may call
    /// `OTA.Update`.
    ///
    /// # Errors
    /// The reply that says why not, of which `out` holds the frame. [`crate::framing::http`] makes a
    /// response of it.
    pub fn permit_upload(
        &mut self,
        from: Channel<'_>,
        now_ms: u64,
        out: &mut [u8],
    ) -> Result<Permit, Reply> {
        self.permit(from, now_ms, out).map(Permit)
    }

    #[cfg(not(feature = "auth"))]
    fn permit(&mut self, _: Channel<'_>, _: u64, _: &mut [u8]) -> Result<(), Reply> {
        Ok(())
    }

    #[cfg(feature = "auth")]
    fn permit(&mut self, from: Channel<'_>, now_ms: u64, out: &mut [u8]) -> Result<(), Reply> {
        let request = crate::auth::Request {
            method: UPLOAD.chars(),
            from,
            auth: None,
            has_reply: true,
            now_ms,
        };
        self.check(&request).map_err(|denied| {
            let frame = crate::frame::Frame::default();
            let device = self.config.device_id;
            match frame.write_error(device, denied.code(), denied, out) {
                Ok(len) => Reply::Frame(len),
                Err(no_room) => Reply::NoRoom(no_room),
            }
        })
    }
}

#[cfg(feature = "auth")]
impl<'d, P: Platform> Service<'d, P> {
    /// Whether the access rules allow a request.
    pub(crate) fn check<M: Iterator<Item = char> + Clone>(
        &mut self,
        request: &crate::auth::Request<'_, M>,
    ) -> Result<(), crate::auth::Denied<'d>> {
        let Self { config, platform, guard, .. } = self;
        match &config.access {
            Some(access) => guard.check(access, request, || platform.random()),
            None => Ok(()),
        }
    }
}
