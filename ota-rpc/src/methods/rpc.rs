//! `RPC.List`, `RPC.Describe`, `RPC.Ping`.

use super::{Call, Done, METHODS, find};
use crate::error::code;

/// The names of all methods, last registered first.
pub(super) fn list<O, P>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let out = call.result().array();
    METHODS.iter().rev().for_each(|entry| {
        out.string(entry.name);
    });
    out.end_array();
    Ok(())
}

/// The arguments of a method.
pub(super) fn describe<O, P>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let name = call.frame.argument("name").and_then(|name| name.as_text());
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(call.error(code::BAD_REQUEST, format_args!("name is required")));
    };
    let Some(entry) = find(name) else {
        return Err(call.error(code::NOT_FOUND, format_args!("name not found")));
    };
    let out = call.result().object();
    out.key("name").string(entry.name).key("args_fmt").string(entry.args_fmt).end_object();
    Ok(())
}

/// Where the request came from.
pub(super) fn ping<O, P>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let info = call.from.info;
    call.result().object().key("channel_info").string(info).end_object();
    Ok(())
}
