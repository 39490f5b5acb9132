//! `fields`: headers and trailers.

use std::any::Any;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use wasmelt_embed::Result;
use wasmelt_embed::component::{GuestCall, Linker};

use super::TYPES;
use super::session::{Kind, Object, define_drop, object, own, spend, take};
use super::values::{bytes, string, word};

/// `header-error`.
#[derive(Clone, Copy)]
enum Invalid {
    Syntax = 0,
    Forbidden = 1,
    Immutable = 2,
}

/// Headers that belong to the connection, which is the server's.
fn is_forbidden(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 7] = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::HOST,
        header::TE,
    ];
    NAMES.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// What a guest sees of headers that came from outside.
pub(super) fn visible(headers: &HeaderMap) -> HeaderMap {
    headers.iter().filter(|(name, _)| !is_forbidden(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a field takes besides its text. So many that a request has fewer than hyper's [`HeaderMap`] can hold.
const FIELD_BYTES: usize = 600;

/// Takes what a copy of fields has from what the guest may give to the server.
pub(super) fn spend_copy(call: GuestCall<'_>, map: &HeaderMap) {
    let text: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    spend(call, text + map.len() * FIELD_BYTES);
}

/// Takes fields of the guest's own away.
pub(super) fn take_fields(call: GuestCall<'_>, handle: u64) -> HeaderMap {
    match take(call, handle, Kind::Fields) {
        Object::Fields { map, .. } => map,
        _ => HeaderMap::new(),
    }
}

fn read<R>(call: GuestCall<'_>, handle: u64, f: impl FnOnce(&HeaderMap) -> R) -> R {
    object(call, handle, Kind::Fields, |object| match object {
        Object::Fields { map, .. } => Some(f(map)),
        _ => None,
    })
}

fn name(name: &[u8]) -> Result<HeaderName, Invalid> {
    let name = HeaderName::from_bytes(name).map_err(|_| Invalid::Syntax)?;
    if is_forbidden(&name) { Err(Invalid::Forbidden) } else { Ok(name) }
}

fn value(value: &[u8]) -> Result<HeaderValue, Invalid> {
    HeaderValue::from_bytes(value).map_err(|_| Invalid::Syntax)
}

/// Changes fields, and writes a `result<_, header-error>`.
fn change(call: GuestCall<'_>, handle: u64, at: u64, what: Result<impl FnOnce(&mut HeaderMap), Invalid>) {
    let at = at as u32;
    call.result_at(at, 2, 1);
    let changed = object(call, handle, Kind::Fields, |object| match object {
        Object::Fields { map, is_immutable } => Some(what.and_then(|change| match is_immutable {
            true => Err(Invalid::Immutable),
            false => {
                change(map);
                Ok(())
            }
        })),
        _ => None,
    });
    match changed {
        Ok(()) => call.put_u8(at, 0),
        Err(invalid) => call.put(at, [1, invalid as u8]),
    }
}

/// Writes a list whose elements `put` writes.
fn put_list<T>(call: GuestCall<'_>, at: u64, elements: &[T], len_bytes: u32, put: impl Fn(u32, &T)) {
    let at = at as u32;
    let start = call.allocate(elements.len() * len_bytes as usize, 4);
    elements.iter().enumerate().for_each(|(index, element)| put(start + index as u32 * len_bytes, element));
    call.put_u32(at, start);
    call.put_u32(at + 4, elements.len() as u32);
}

/// The lists of bytes in a list.
fn lists(call: GuestCall<'_>, at: u64, count: u64) -> Vec<Vec<u8>> {
    let (at, count) = (at as u32, count as u32);
    call.list(at, count, 8, 4);
    (0..count).map(|index| bytes(call, word(call, at + 8 * index), word(call, at + 8 * index + 4))).collect()
}

/// The fields in a list of pairs.
fn from_list(call: GuestCall<'_>, at: u64, count: u64) -> Result<HeaderMap, Invalid> {
    let (at, count) = (at as u32, count as u32);
    call.list(at, count, 16, 4);
    let mut map = HeaderMap::new();
    for entry in (0..count).map(|index| at + 16 * index) {
        spend(call, FIELD_BYTES);
        let [a, b, c, d] = [0, 4, 8, 12].map(|offset| word(call, entry + offset));
        map.append(name(string(call, a, b).as_bytes())?, value(&bytes(call, c, d))?);
    }
    Ok(map)
}

pub(super) fn define<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    let fields = |map| Object::Fields { map, is_immutable: false };
    linker.func_flat(TYPES, "[constructor]fields", move |call, v| {
        v[0][0] = own(call, Kind::Fields, fields(HeaderMap::new())).into();
    })?;
    linker.func_flat(TYPES, "[static]fields.from-list", move |call, v| {
        let at = v[2][0] as u32;
        call.result_at(at, 8, 4);
        match from_list(call, v[0][0], v[1][0]) {
            Ok(map) => {
                call.put_u32(at + 4, own(call, Kind::Fields, fields(map)));
                call.put_u8(at, 0);
            }
            Err(invalid) => {
                call.put_u8(at, 1);
                call.put_u8(at + 4, invalid as u8);
            }
        }
    })?;
    linker.func_flat(TYPES, "[method]fields.get", |call, v| {
        call.result_at(v[3][0] as u32, 8, 4);
        let name = string(call, v[1][0], v[2][0]);
        let found: Vec<_> = read(call, v[0][0], |map| map.get_all(name.as_str()).iter().cloned().collect());
        put_list(call, v[3][0], &found, 8, |at, value: &HeaderValue| call.put_bytes(at, &[value.as_bytes()]));
    })?;
    linker.func_flat(TYPES, "[method]fields.has", |call, v| {
        let name = string(call, v[1][0], v[2][0]);
        v[0][0] = read(call, v[0][0], |map| map.contains_key(name.as_str())).into();
    })?;
    linker.func_flat(TYPES, "[method]fields.set", |call, v| {
        let (key, values) = (string(call, v[1][0], v[2][0]), lists(call, v[3][0], v[4][0]));
        spend(call, values.len() * FIELD_BYTES);
        let values = values.iter().map(|bytes| value(bytes)).collect::<Result<Vec<_>, _>>();
        let what = name(key.as_bytes()).and_then(|name| Ok((name, values?)));
        change(
            call,
            v[0][0],
            v[5][0],
            what.map(|(name, values)| {
                move |map: &mut HeaderMap| {
                    map.remove(&name);
                    values.into_iter().for_each(|value| _ = map.append(&name, value));
                }
            }),
        );
    })?;
    linker.func_flat(TYPES, "[method]fields.delete", |call, v| {
        let name = name(string(call, v[1][0], v[2][0]).as_bytes());
        change(call, v[0][0], v[3][0], name.map(|name| move |map: &mut HeaderMap| _ = map.remove(&name)));
    })?;
    linker.func_flat(TYPES, "[method]fields.append", |call, v| {
        let key = name(string(call, v[1][0], v[2][0]).as_bytes());
        let added = value(&bytes(call, v[3][0], v[4][0]));
        spend(call, FIELD_BYTES);
        let what = key.and_then(|key| Ok((key, added?)));
        change(call, v[0][0], v[5][0], what.map(|(key, added)| move |map: &mut HeaderMap| _ = map.append(key, added)));
    })?;
    linker.func_flat(TYPES, "[method]fields.entries", |call, v| {
        call.result_at(v[1][0] as u32, 8, 4);
        let all: Vec<_> =
            read(call, v[0][0], |map| map.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
        put_list(call, v[1][0], &all, 16, |at, (name, value): &(HeaderName, HeaderValue)| {
            call.put_bytes(at, &[name.as_str().as_bytes()]);
            call.put_bytes(at + 8, &[value.as_bytes()]);
        });
    })?;
    linker.func_flat(TYPES, "[method]fields.clone", move |call, v| {
        let copy = read(call, v[0][0], HeaderMap::clone);
        spend_copy(call, &copy);
        v[0][0] = own(call, Kind::Fields, fields(copy)).into();
    })?;
    define_drop(linker, "fields", Kind::Fields)
}
