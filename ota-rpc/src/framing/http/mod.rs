//! HTTP, for any server: what a request asks for, what is done with it, what goes back.
//!
//! ```text
//! head -> Route::of -> Frame ------------------------------> Service::handle -> Reply
//!                   -> Call -> write_request -> a frame ---> Service::handle -> Reply
//!                   -> Upload -> Service::permit_upload -> Upload::feed ... end -> Service::poll
//!                   -> Answer -> Response
//! Reply -> Response::to_reply, to_rejected, to_notification -> head and body
//! ```
//! * Credentials: put the header `Authorization`, with method and target of the request, into
//!   [`Channel::authorization`](crate::Channel::authorization). A reply with error 401 becomes a
//!   response with the header `WWW-Authenticate` by itself.
//! * A reply that comes later, from [`Service::poll`](crate::Service::poll), becomes a response in
//!   the same way: remember the [`Form`] along with the channel.
//! * Each request should have a channel of its own; when its response is out, call
//!   [`Service::reply_flushed`](crate::Service::reply_flushed), and when its connection breaks
//!   before, [`Service::channel_closed`](crate::Service::channel_closed).
//!
//! Heads of requests are for the server to read: any library will do.

mod authorization;
mod challenge;
mod multipart;
mod parameters;
mod query;
mod response;
mod route;
mod upload;

pub use authorization::{Authorization, DigestFields};
pub use multipart::{Multipart, MultipartError, Part};
pub use parameters::BadHeader;
pub use query::QueryError;
pub use response::{Body, Response};
pub use route::{Call, CallError, Form, Route};
pub use upload::{Ended, Refusal, Upload};
