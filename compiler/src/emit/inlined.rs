//! The table of inlined functions, see [`wasmelt_abi::inlined`]: in go the functions of the image with the bodies that
//! were put into them, out comes the table, with what some site needs alone.

use std::collections::{BTreeMap, HashMap};

use wasmelt_abi::inlined::{Site, encode, encode_function, encode_scope};

use super::text::Layout;
use crate::demangle;
use crate::image::{Image, ImageFunction};

/// The table; empty where code can stop in no inlined body.
pub(super) fn table(image: &Image<'_>, layout: &Layout) -> Vec<u8> {
    let mut parts = Parts { names: &image.inlined, functions: Vec::new(), known: HashMap::new(), scopes: vec![0] };
    let mut sites = Vec::new();
    for (function, &start) in image.functions.iter().zip(&layout.offsets) {
        let mut known = HashMap::new();
        sites.extend(function.inlined.iter().map(|site| Site {
            offset: start + site.offset,
            operator: site.operator,
            scope: parts.scope(function, site.scope, &mut known),
        }));
    }
    let mut table = Vec::new();
    if !sites.is_empty() {
        encode(&parts.functions, &parts.scopes, sites, |byte| table.push(byte));
    }
    table
}

/// What sites refer to.
struct Parts<'a> {
    names: &'a BTreeMap<u32, (u32, String)>,
    functions: Vec<u8>,
    /// The offsets of functions, by their numbers.
    known: HashMap<u32, u32>,
    scopes: Vec<u8>,
}

impl Parts<'_> {
    /// The offset of a scope of a function, whose scopes that are written are `known`; those around it come before it.
    fn scope(&mut self, function: &ImageFunction, scope: u32, known: &mut HashMap<u32, u32>) -> u32 {
        let mut chain = Vec::new();
        let mut next = Some(scope);
        while let Some(scope) = next.filter(|scope| !known.contains_key(scope)) {
            chain.push(scope);
            next = function.scopes[scope as usize].parent;
        }
        let mut parent = next.map_or(0, |scope| known[&scope]);
        for scope in chain.into_iter().rev() {
            let of = function.scopes[scope as usize];
            let function = self.function(of.function);
            let offset = self.scopes.len() as u32;
            encode_scope(parent, function, of.call, |byte| self.scopes.push(byte));
            known.insert(scope, offset);
            parent = offset;
        }
        parent
    }

    fn function(&mut self, id: u32) -> u32 {
        let (bytes, names) = (&mut self.functions, self.names);
        *self.known.entry(id).or_insert_with(|| {
            let offset = bytes.len() as u32;
            if let Some((index, name)) = names.get(&id) {
                encode_function(*index, &demangle::function_name(name), |byte| bytes.push(byte));
            }
            offset
        })
    }
}
