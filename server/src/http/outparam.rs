//! `response-outparam`: where a guest puts its response, once.

use std::any::Any;

use hyper::header::HeaderMap;
use wasmelt_embed::Result;
use wasmelt_embed::component::{GuestCall, Linker};

use super::TYPES;
use super::session::{Kind, Object, define_drop, take};
use super::values::case;
use crate::body::Written;

/// What a guest answers a request with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A response, whose body may still be written.
    Response { status: u16, headers: HeaderMap, body: Option<Written> },
    /// An `error-code`, by the number of its case.
    Error(u32),
}

/// How many cases `error-code` has.
const ERROR_CODES: u32 = 39;

fn set(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    let answer = match case(call, v[1][0], 2) {
        0 => match take(call, v[2][0], Kind::OutgoingResponse) {
            Object::OutgoingResponse(message) => {
                Answer::Response { status: message.status, headers: message.headers, body: message.body }
            }
            _ => return,
        },
        _ => Answer::Error(case(call, v[2][0], ERROR_CODES)),
    };
    if let Object::Outparam(sender) = take(call, v[0][0], Kind::Outparam) {
        // The client may be gone.
        let _ = sender.send(answer);
    }
}

pub(super) fn define<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    linker.func_flat(TYPES, "[static]response-outparam.set", set)?;
    define_drop(linker, "response-outparam", Kind::Outparam)
}
