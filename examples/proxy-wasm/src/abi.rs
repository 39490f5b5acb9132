//! The Proxy-Wasm ABI 0.2.1: its numbers, and how header fields lie in a guest's memory.
//!
//! Source: the specification of the Proxy-Wasm project, `abi-versions/v0.2.1`.

/// Why a function of the host has not done what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
    InternalFailure = 10,
}

/// What `proxy_status_t` is where nothing failed.
pub(crate) const OK: u32 = 0;

/// The context that stands for the plugin itself.
pub(crate) const ROOT: u32 = 1;

/// `proxy_map_type_t`.
pub(crate) mod map {
    pub(crate) const REQUEST_HEADERS: u32 = 0;
    pub(crate) const REQUEST_TRAILERS: u32 = 1;
    pub(crate) const RESPONSE_HEADERS: u32 = 2;
    pub(crate) const RESPONSE_TRAILERS: u32 = 3;
    pub(crate) const CALL_HEADERS: u32 = 6;
    pub(crate) const CALL_TRAILERS: u32 = 7;
}

/// `proxy_buffer_type_t`.
pub(crate) mod buffer {
    pub(crate) const REQUEST_BODY: u32 = 0;
    pub(crate) const RESPONSE_BODY: u32 = 1;
    pub(crate) const CALL_BODY: u32 = 4;
    pub(crate) const VM_CONFIGURATION: u32 = 6;
    pub(crate) const PLUGIN_CONFIGURATION: u32 = 7;
}

/// `proxy_stream_type_t`.
pub(crate) mod stream {
    pub(crate) const HTTP_REQUEST: u32 = 0;
    pub(crate) const HTTP_RESPONSE: u32 = 1;
}

/// `proxy_action_t`: the filter lets the message go on.
pub(crate) const CONTINUE: u32 = 0;

/// Names of `proxy_log_level_t`.
pub(crate) const LOG_LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "critical"];

/// What fields of a message that a plugin has changed may take in the host, by [`Fields::cost_bytes`].
pub(crate) const MAX_FIELDS_BYTES: usize = 1 << 20;

/// What a pair of byte strings takes besides its bytes, at most.
pub(crate) const PAIR_BYTES: usize = 128;

/// Header fields and pseudo-header fields, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// The value of the first field of this name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The length of all names and values.
    pub(crate) fn len_bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// What the fields take in the host.
    pub(crate) fn cost_bytes(&self) -> usize {
        self.len_bytes() + self.0.len() * PAIR_BYTES
    }

    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        self.0.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    /// The only field of this name is this one, where the first one was.
    pub(crate) fn replace(&mut self, name: &[u8], value: &[u8]) {
        match self.0.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some(field) => field.1 = value.to_vec(),
            None => return self.add(name, value),
        }
        let mut is_first = true;
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name) || core::mem::take(&mut is_first));
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The bytes of the ABI: the number of fields, the lengths of each name and value, then names and values, each
    /// followed by a byte of 0.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = number(self.0.len()).to_vec();
        for (name, value) in &self.0 {
            bytes.extend([number(name.len()), number(value.len())].concat());
        }
        for (name, value) in &self.0 {
            bytes.extend([&**name, b"\0", value, b"\0"].concat());
        }
        bytes
    }

    /// The fields that these bytes of a guest's stand for; `None` where they stand for none, or for too many.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| -> Option<usize> {
            let four = bytes.get(at..at.checked_add(4)?)?;
            Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
        };
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let count = number(0)?;
        let mut at = count.checked_mul(8)?.checked_add(4)?;
        let cost_bytes = count.checked_mul(PAIR_BYTES)?.checked_add(bytes.len())?;
        if at > bytes.len() || cost_bytes > MAX_FIELDS_BYTES {
            return None;
        }
        let mut next = |len: usize| {
            let text = bytes.get(at..at.checked_add(len)?)?;
            at = at.checked_add(len + 1)?;
            Some(text)
        };
        let mut fields = Self::default();
        for index in 0..count {
            let (name, value) = (next(number(4 + 8 * index)?)?, next(number(8 + 8 * index)?)?);
            fields.add(name, value);
        }
        Some(fields)
    }
}
