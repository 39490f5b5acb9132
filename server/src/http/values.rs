//! Values of `wasi:http/types` on their way to and from a guest.

use hyper::Method;
use wasmelt_embed::component::GuestCall;

use super::session::spend;

/// Cases of `error-code`. Most of those here have no payload, or one that is optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    DnsTimeout,
    DestinationNotFound,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionLimitReached,
    TlsProtocol,
    TlsCertificate,
    /// With the number of the alert.
    TlsAlertReceived(u8),
    RequestDenied,
    UriInvalid,
    ResponseIncomplete,
    BodySize,
    ResponseTimeout,
    Protocol,
    Internal,
}

impl ErrorCode {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::DnsTimeout => 0,
            Self::DestinationNotFound => 2,
            Self::ConnectionRefused => 6,
            Self::ConnectionTerminated => 7,
            Self::ConnectionTimeout => 8,
            Self::ConnectionLimitReached => 11,
            Self::TlsProtocol => 12,
            Self::TlsCertificate => 13,
            Self::TlsAlertReceived(_) => 14,
            Self::RequestDenied => 15,
            Self::UriInvalid => 19,
            Self::ResponseIncomplete => 25,
            Self::BodySize => 28,
            Self::ResponseTimeout => 33,
            Self::Protocol => 35,
            Self::Internal => 38,
        }
    }
}

/// Length and alignment of `result<_, error-code>`, and of what else has an error code as its largest case.
pub(super) const ERROR_RESULT: (u32, u32) = (40, 8);

/// Writes an `error-code`. What is optional in its payload is `none`, but for the number of an alert.
pub(super) fn put_error(call: GuestCall<'_>, at: u32, error: ErrorCode) {
    call.put_u8(at, error.number());
    call.put_u8(at + 8, 0);
    if let ErrorCode::TlsAlertReceived(alert) = error {
        call.put_u8(at + 8, 1);
        call.put_u8(at + 9, alert);
        call.put_u8(at + 12, 0);
    }
}

/// The bytes of a list of the guest.
pub(super) fn bytes(call: GuestCall<'_>, at: u64, len: u64) -> Vec<u8> {
    let (at, len) = (at as u32, len as u32);
    call.list(at, len, 1, 1);
    // A little for what keeps them.
    spend(call, len as usize + 64);
    let mut bytes = vec![0; len as usize];
    call.read_bytes(at, &mut bytes);
    bytes
}

/// A string of the guest.
pub(super) fn string(call: GuestCall<'_>, at: u64, len: u64) -> String {
    String::from_utf8(bytes(call, at, len)).unwrap_or_else(|_| call.trap("invalid utf-8 encoding of a string"))
}

/// A word of the guest's memory.
pub(super) fn word(call: GuestCall<'_>, at: u32) -> u64 {
    u32::from_le_bytes(call.read(at)).into()
}

/// A discriminant, which must be below `count`.
pub(super) fn case(call: GuestCall<'_>, value: u64, count: u32) -> u32 {
    let case = value as u32;
    if case >= count {
        call.trap("unexpected discriminant");
    }
    case
}

/// An `option<string>`, flattened.
pub(super) fn optional_string(call: GuestCall<'_>, v: &[[u64; 2]]) -> Option<String> {
    (case(call, v[0][0], 2) == 1).then(|| string(call, v[1][0], v[2][0]))
}

/// Writes an `option<string>`.
pub(super) fn put_optional_string(call: GuestCall<'_>, at: u64, value: Option<&str>) {
    let at = at as u32;
    call.result_at(at, 12, 4);
    call.put_u8(at, value.is_some().into());
    if let Some(value) = value {
        call.put_bytes(at + 4, &[value.as_bytes()]);
    }
}

/// Methods by their cases; others come behind them.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// Writes a `method`.
pub(super) fn put_method(call: GuestCall<'_>, at: u64, method: &Method) {
    let at = at as u32;
    call.result_at(at, 12, 4);
    match METHODS.iter().position(|known| known == method) {
        Some(case) => call.put_u8(at, case as u8),
        None => {
            call.put_bytes(at + 4, &[method.as_str().as_bytes()]);
            call.put_u8(at, METHODS.len() as u8);
        }
    }
}

/// A `method`, flattened; `None` where it is not one.
pub(super) fn method(call: GuestCall<'_>, v: &[[u64; 2]]) -> Option<Method> {
    let case = case(call, v[0][0], METHODS.len() as u32 + 1) as usize;
    match METHODS.get(case) {
        Some(method) => Some(method.clone()),
        None => Method::from_bytes(string(call, v[1][0], v[2][0]).as_bytes()).ok(),
    }
}

/// A `scheme`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    Other(String),
}

/// Writes an `option<scheme>`.
pub(super) fn put_optional_scheme(call: GuestCall<'_>, at: u64, scheme: Option<&Scheme>) {
    let at = at as u32;
    call.result_at(at, 16, 4);
    call.put_u8(at, scheme.is_some().into());
    match scheme {
        None => {}
        Some(Scheme::Http) => call.put_u8(at + 4, 0),
        Some(Scheme::Https) => call.put_u8(at + 4, 1),
        Some(Scheme::Other(name)) => {
            call.put_u8(at + 4, 2);
            call.put_bytes(at + 8, &[name.as_bytes()]);
        }
    }
}

/// An `option<scheme>`, flattened.
pub(super) fn optional_scheme(call: GuestCall<'_>, v: &[[u64; 2]]) -> Option<Scheme> {
    if case(call, v[0][0], 2) == 0 {
        return None;
    }
    Some(match case(call, v[1][0], 3) {
        0 => Scheme::Http,
        1 => Scheme::Https,
        _ => Scheme::Other(string(call, v[2][0], v[3][0])),
    })
}

/// Writes a `result<own<...>>` of a handle, or an error without a payload.
pub(super) fn put_handle(call: GuestCall<'_>, at: u64, handle: Option<u32>) {
    let at = at as u32;
    call.put_u8(at, handle.is_none().into());
    if let Some(handle) = handle {
        call.put_u32(at + 4, handle);
    }
}
