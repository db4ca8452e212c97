//! Hostile requests of HTTP.

use ota_rpc::auth::{Access, Algorithm, Digest, EVERY_USER, User};
use ota_rpc::framing::http::{
    Authorization, DigestFields, Form, Multipart, MultipartError, Part, Response, Route,
};
use ota_rpc::service::Reply;
use ota_rpc::{Channel, ChannelId, ChannelKind};
use serde_json::Value;

use crate::rpc::{DEVICE, Engine, service, service_with};

/// A method, a target, the headers `Authorization` and `Content-Type`, each on a line, and a body:
/// what is made of them is what the protocol knows. The first byte says in which pieces a form
/// comes, which makes no difference.
pub fn http(data: &[u8]) {
    let (piece, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut parts = rest.splitn(5, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (method, target, header, content_type) = (text(), text(), text(), text());
    let body = parts.next().unwrap_or_default();
    let authorization = Authorization { method: &method, target: &target, header: &header };
    match Route::of(&method, &target) {
        Route::Frame => {
            answer(body, Form::Frame, None);
            answer(body, Form::Frame, Some(authorization));
        }
        Route::Call(call) => {
            let mut frame = vec![0; body.len() + target.len() + 1024];
            match call.write_request(body, &mut frame) {
                Ok(len) => {
                    let frame = &frame[..len];
                    let parsed: Value = serde_json::from_slice(frame).expect("a frame is JSON");
                    assert!(parsed["method"].is_string() && parsed["id"] == 1);
                    answer(frame, call.form(), Some(authorization));
                }
                Err(error) => check(&Response::bad_call(call.form(), error)),
            }
        }
        Route::Upload | Route::WebSocket => {}
        Route::Answer(response) => check(&response),
    }
    if let Ok(Some(fields)) = DigestFields::parse(&header) {
        assert!(fields.username.is_none_or(|name| header.contains(name)));
    }
    let whole = parts_of(&content_type, [body].into_iter());
    assert_eq!(parts_of(&content_type, body.chunks(usize::from(*piece) + 1)), whole);
}

/// What a device answers, open to everybody or, with credentials, to those who are known.
fn answer(frame: &[u8], form: Form, authorization: Option<Authorization<'_>>) {
    let ha1 = Digest::of_password(Algorithm::Sha256, "admin", "RPC", "secret");
    let users = [User { name: "admin", ha1 }];
    let access = Access::new("RPC", Algorithm::Sha256, &users, EVERY_USER).expect("sound");
    let mut service = match authorization {
        Some(_) => service_with(access),
        None => service(),
    };
    let channel =
        Channel { authorization, ..Channel::new(ChannelId(0), ChannelKind::Http, "1.2.3.4:5") };
    let mut out = [0; 4096];
    let outcome = service.handle(frame, channel, 0, &mut Engine::default(), &mut out);
    match outcome.reply {
        Reply::Frame(len) => {
            let reply: Value = serde_json::from_slice(&out[..len]).expect("JSON");
            assert_eq!(reply["src"], DEVICE);
            let response = Response::to_reply(form, &out[..len]);
            check(&response);
            // Nobody here knows the password.
            assert!(authorization.is_none() || reply.get("result").is_none());
        }
        Reply::Rejected { len, .. } => check(&Response::to_rejected(form, &out[..len])),
        Reply::Later | Reply::None | Reply::NoRoom(_) => {}
    }
}

/// A response is what it says it is: one line for each header, as long as announced.
fn check(response: &Response<'_>) {
    let mut head = String::new();
    response.write_head(true, &mut head).expect("a String has room");
    let lines: Vec<_> = head.split("\r\n").collect();
    assert!(lines[0].starts_with("HTTP/1.1 ") && head.ends_with("\r\n\r\n"));
    assert!(lines[1..lines.len() - 2].iter().all(|line| line.contains(": ")), "{head}");
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n'])));
    let body = response.body().to_string();
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    assert_eq!(body.is_empty(), response.body().is_empty());
}

/// What comes out of a form, the bytes of its file joined.
fn parts_of<'p>(
    content_type: &str,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Result<(Vec<String>, Vec<u8>), MultipartError> {
    let mut form = Multipart::new(content_type)?;
    let (mut all, mut file) = (Vec::new(), Vec::new());
    for mut piece in pieces {
        while let Some(part) = form.next(&mut piece)? {
            match part {
                Part::File(bytes) => {
                    assert!(!bytes.is_empty());
                    file.extend_from_slice(bytes);
                }
                other => all.push(format!("{other:?}")),
            }
        }
        assert!(piece.is_empty());
    }
    Ok((all, file))
}
