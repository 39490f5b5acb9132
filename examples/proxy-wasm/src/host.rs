//! The functions of the ABI that the host has for guests.
//!
//! A guest passes addresses in its memory; what it is given lies in memory that it allocates itself. Nothing that a guest
//! passes is believed: an address outside its memory is a status.

use std::time::{Duration, SystemTime};

use wasmelt_embed::wasi::p1;
use wasmelt_embed::{Caller, Error, Extern, Linker, Memory, Result};

use crate::abi::{self, Fields, MAX_FIELDS_BYTES, PAIR_BYTES, Status, stream};
use crate::message::Message;
use crate::state::{State, Way};

/// What all that plugins share takes, at most.
const MAX_SHARED_BYTES: usize = 1 << 20;

/// The shortest time between two ticks.
const SHORTEST_TICK: Duration = Duration::from_millis(1);

/// Why a function has not done what it was asked for.
enum Failure {
    /// The guest is told.
    Status(Status),
    /// The guest ends.
    Error(Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Outcome<T = ()> = Result<T, Failure>;

/// Does what a guest has asked for: what the guest is told.
fn told(action: impl FnOnce() -> Outcome) -> Result<u32> {
    match action() {
        Ok(()) => Ok(abi::OK),
        Err(Failure::Status(status)) => Ok(status as u32),
        Err(Failure::Error(error)) => Err(error),
    }
}

/// The guest that has called.
struct Guest<'a>(Caller<'a, State>);

/// Bytes of the guest's: the address and the length.
type Bytes = (u32, u32);

impl Guest<'_> {
    fn state(&mut self) -> &mut State {
        self.0.data_mut()
    }

    fn memory(&self) -> Outcome<Memory> {
        match self.0.get_export("memory") {
            Some(Extern::Memory(memory)) => Ok(memory),
            _ => Err(Status::InvalidMemoryAccess.into()),
        }
    }

    fn read(&self, (at, len): Bytes) -> Outcome<Vec<u8>> {
        let bytes = self.memory()?.data(&self.0).get(at as usize..).and_then(|bytes| bytes.get(..len as usize));
        Ok(bytes.ok_or(Status::InvalidMemoryAccess)?.to_vec())
    }

    fn read_fields(&self, bytes: Bytes) -> Outcome<Fields> {
        Ok(Fields::decode(&self.read(bytes)?).ok_or(Status::SerializationFailure)?)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Outcome {
        let memory = self.memory()?;
        memory.write(&mut self.0, at as usize, bytes).map_err(|_| Status::InvalidMemoryAccess.into())
    }

    /// Gives the guest bytes that it frees: their address and length go where it wants them.
    fn give(&mut self, bytes: &[u8], to: [u32; 2]) -> Outcome {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        let at = if len == 0 { 0 } else { self.allocate(len)? };
        self.write(at, bytes)?;
        self.write(to[0], &at.to_le_bytes())?;
        self.write(to[1], &len.to_le_bytes())
    }

    fn allocate(&mut self, len: u32) -> Outcome<u32> {
        let exports = ["proxy_on_memory_allocate", "malloc"].map(|name| self.0.get_export(name));
        let Some(Extern::Func(allocate)) = exports.into_iter().flatten().next() else {
            return Err(Error::msg("the plugin has no function that allocates memory").into());
        };
        match allocate.typed::<u32, u32>(&self.0)?.call(&mut self.0, len)? {
            0 => Err(Status::InternalFailure.into()),
            at => Ok(at),
        }
    }
}

/// All functions that a plugin may import, WASI's among them.
pub(crate) fn linker() -> Result<Linker<State>> {
    let mut linker = Linker::new();
    p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
    of_plugin(&mut linker)?;
    of_messages(&mut linker)?;
    of_exchanges(&mut linker)?;
    Ok(linker)
}

/// Defines functions by what they do with the guest, which is told how that ended.
macro_rules! define {
    ($linker:ident: $($name:literal |$guest:ident $(, $value:ident)*| $body:block)*) => {
        $($linker.func_wrap("env", $name, |caller: Caller<'_, State> $(, $value: u32)*| -> Result<u32> {
            #[allow(unused_mut, reason = "some functions only read")]
            let mut $guest = Guest(caller);
            told(|| $body)
        })?;)*
    };
}

/// Functions about the plugin itself.
fn of_plugin(linker: &mut Linker<State>) -> Result<()> {
    define! { linker:
        "proxy_log" |guest, level, at, len| {
            let text = String::from_utf8_lossy(&guest.read((at, len))?).replace(|c: char| c.is_control(), " ");
            let level = abi::LOG_LEVELS.get(level as usize).ok_or(Status::BadArgument)?;
            eprintln!("[{level}] {}: {text}", guest.state().settings.name);
            Ok(())
        }
        "proxy_get_log_level" |guest, to| { guest.write(to, &0_u32.to_le_bytes()) }
        "proxy_get_current_time_nanoseconds" |guest, to| {
            let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
            guest.write(to, &u64::try_from(time).unwrap_or(u64::MAX).to_le_bytes())
        }
        "proxy_set_tick_period_milliseconds" |guest, period| {
            guest.state().tick = (period > 0).then(|| Duration::from_millis(period.into()).max(SHORTEST_TICK));
            Ok(())
        }
        "proxy_get_property" |guest, at, len, to, to_len| {
            let path = guest.read((at, len))?;
            let value = guest.state().property(&path)?;
            guest.give(&value, [to, to_len])
        }
        "proxy_get_shared_data" |guest, at, len, to, to_len, to_cas| {
            let key = guest.read((at, len))?;
            let found = guest.state().settings.shared.lock().ok().and_then(|shared| shared.get(&key).cloned());
            let (value, cas) = found.ok_or(Status::NotFound)?;
            guest.give(&value, [to, to_len])?;
            guest.write(to_cas, &cas.to_le_bytes())
        }
        "proxy_set_shared_data" |guest, key_at, key_len, at, len, cas| {
            let (key, value) = (guest.read((key_at, key_len))?, guest.read((at, len))?);
            Ok(share(guest.state(), key, value, cas)?)
        }
        "proxy_set_effective_context" |guest, context| {
            let state = guest.state();
            if context != abi::ROOT && !state.exchanges.contains_key(&context) {
                return Err(Status::BadArgument.into());
            }
            state.effective = context;
            Ok(())
        }
    }
    Ok(())
}

fn share(state: &State, key: Vec<u8>, value: Vec<u8>, cas: u32) -> Result<(), Status> {
    let mut shared = state.settings.shared.lock().map_err(|_| Status::InternalFailure)?;
    let cost_bytes = |key: &[u8], value: &[u8]| PAIR_BYTES + key.len() + value.len();
    let (old_bytes, old_cas) = shared.get(&key).map_or((0, 0), |(value, cas)| (cost_bytes(&key, value), *cas));
    if cas != 0 && cas != old_cas {
        return Err(Status::CasMismatch);
    }
    let all: usize = shared.iter().map(|(key, (value, _))| cost_bytes(key, value)).sum();
    if all - old_bytes + cost_bytes(&key, &value) > MAX_SHARED_BYTES {
        return Err(Status::InternalFailure);
    }
    shared.insert(key, (value, old_cas.wrapping_add(1).max(1)));
    Ok(())
}

/// The fields, where there is room for another one.
fn room_for<'a>(fields: &'a mut Fields, name: &[u8], value: &[u8]) -> Result<&'a mut Fields, Status> {
    let cost_bytes = fields.cost_bytes() + PAIR_BYTES + name.len() + value.len();
    if cost_bytes > MAX_FIELDS_BYTES { Err(Status::InternalFailure) } else { Ok(fields) }
}

/// Functions about header fields and bodies.
fn of_messages(linker: &mut Linker<State>) -> Result<()> {
    define! { linker:
        "proxy_get_header_map_size" |guest, map, to| {
            let len = guest.state().fields(map)?.len_bytes();
            guest.write(to, &u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes())
        }
        "proxy_get_header_map_pairs" |guest, map, to, to_len| {
            let bytes = match guest.state().fields(map) {
                Err(Status::NotFound) => Fields::default().encode(),
                fields => fields?.encode(),
            };
            guest.give(&bytes, [to, to_len])
        }
        "proxy_set_header_map_pairs" |guest, map, at, len| {
            let fields = guest.read_fields((at, len))?;
            *guest.state().fields(map)? = fields;
            Ok(())
        }
        "proxy_get_header_map_value" |guest, map, at, len, to, to_len| {
            let name = guest.read((at, len))?;
            let value = guest.state().fields(map)?.get(&name).ok_or(Status::NotFound)?.to_vec();
            guest.give(&value, [to, to_len])
        }
        "proxy_add_header_map_value" |guest, map, at, len, value_at, value_len| {
            let (name, value) = (guest.read((at, len))?, guest.read((value_at, value_len))?);
            room_for(guest.state().fields(map)?, &name, &value)?.add(&name, &value);
            Ok(())
        }
        "proxy_replace_header_map_value" |guest, map, at, len, value_at, value_len| {
            let (name, value) = (guest.read((at, len))?, guest.read((value_at, value_len))?);
            room_for(guest.state().fields(map)?, &name, &value)?.replace(&name, &value);
            Ok(())
        }
        "proxy_remove_header_map_value" |guest, map, at, len| {
            let name = guest.read((at, len))?;
            guest.state().fields(map)?.remove(&name);
            Ok(())
        }
        "proxy_get_buffer_bytes" |guest, buffer, start, max, to, to_len| {
            let bytes = guest.state().buffer(buffer)?;
            let rest = bytes.get(start as usize..).ok_or(Status::BadArgument)?;
            let part = rest[..rest.len().min(max as usize)].to_vec();
            guest.give(&part, [to, to_len])
        }
        "proxy_set_buffer_bytes" |guest, buffer, start, size, at, len| {
            let new = guest.read((at, len))?;
            let max = guest.state().settings.max_body_bytes;
            let bytes = guest.state().buffer(buffer)?;
            let start = (start as usize).min(bytes.len());
            let end = start.saturating_add(size as usize).min(bytes.len());
            if bytes.len() - (end - start) + new.len() > max {
                return Err(Status::InternalFailure.into());
            }
            bytes.splice(start..end, new);
            Ok(())
        }
    }
    Ok(())
}

/// Functions about exchanges, and calls to other servers.
fn of_exchanges(linker: &mut Linker<State>) -> Result<()> {
    define! { linker:
        "proxy_continue_stream" |guest, stream| {
            let way = match stream {
                stream::HTTP_REQUEST => Way::Request,
                stream::HTTP_RESPONSE => Way::Response,
                _ => return Err(Status::BadArgument.into()),
            };
            guest.state().exchange()?.is_paused[way as usize] = false;
            Ok(())
        }
        "proxy_close_stream" |guest, stream| {
            if ![stream::HTTP_REQUEST, stream::HTTP_RESPONSE].contains(&stream) {
                return Err(Status::BadArgument.into());
            }
            guest.state().exchange()?.is_closed = true;
            Ok(())
        }
        "proxy_done" |guest| {
            let exchange = guest.state().exchange()?;
            if !exchange.is_ending {
                return Err(Status::NotFound.into());
            }
            exchange.is_done = true;
            Ok(())
        }
        "proxy_send_local_response" |guest, code, _details, _details_len, at, len, fields_at, fields_len, _grpc| {
            let (body, mut fields) = (guest.read((at, len))?, guest.read_fields((fields_at, fields_len))?);
            let is_status = (200..=599).contains(&code);
            let is_ending = guest.state().exchange()?.is_ending;
            if !is_status || is_ending || body.len() > guest.state().settings.max_body_bytes {
                return Err(Status::BadArgument.into());
            }
            fields.0.retain(|(name, _)| !name.starts_with(b":"));
            fields.0.insert(0, (b":status".to_vec(), code.to_string().into_bytes()));
            guest.state().exchange()?.answer = Some(Message { fields, body });
            Ok(())
        }
        "proxy_http_call" |guest, name, name_len, fields_at, fields_len, at, len, _trailers, trailers_len, timeout, to| {
            // A list without a field has four bytes.
            if trailers_len > 4 {
                return Err(Status::BadArgument.into());
            }
            let (cluster, body) = (guest.read((name, name_len))?, guest.read((at, len))?);
            let request = Message { fields: guest.read_fields((fields_at, fields_len))?, body };
            let token = guest.state().call(&cluster, request, Duration::from_millis(timeout.into()))?;
            guest.write(to, &token.to_le_bytes())
        }
    }
    Ok(())
}
