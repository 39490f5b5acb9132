//! A `.wast` file about components as plain data: text in, out come programs with the calls that each makes, components
//! that must not be accepted, and what cannot be run.
//!
//! A component imports the instances of the script under the names that they have there. Instances that are connected so
//! are one program, others are one each.

use std::collections::HashMap;

use wasmparser::component_types::{ComponentEntityType, ComponentValType};
use wasmparser::names::KebabString;
use wasmparser::types::Types;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

use crate::driver::{Call, Expect, Instance};
use crate::outcome::{Outcome, Reason, Verdict};
use crate::types::{Signature, Type};
use crate::values;

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) programs: Vec<Program>,
    pub(crate) rejected: Vec<Rejected>,
    /// What is decided already: that the file or a part of it is wrong, or why it is not run.
    pub(crate) outcomes: Vec<Outcome>,
}

/// Instances that belong together, with the lines that make them.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) lines: Vec<usize>,
    pub(crate) instances: Vec<Instance>,
    /// Calls with their lines.
    pub(crate) calls: Vec<(usize, Call)>,
    /// The instantiation of the last instance traps with this message.
    pub(crate) traps: Option<String>,
}

/// A component that must not be accepted.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) line: usize,
    /// None where the text already was refused, which the assembler has done with the message.
    pub(crate) component: Result<Vec<u8>, String>,
    /// What its imports are, for one that must not link.
    pub(crate) program: Program,
    pub(crate) message: String,
}

/// Features that types of components are read with: what is refused is for the compiler to say.
const FEATURES: WasmFeatures = WasmFeatures::all();

/// Reads a file; the outcome where it cannot be read.
pub(crate) fn read(text: &str) -> Result<Script, Outcome> {
    let unreadable = |e: wast::Error| {
        let why = format!("the script cannot be parsed: {}", e.message());
        Outcome { line: e.span().linecol_in(text).0 + 1, verdict: Verdict::Failed(why) }
    };
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = wast::parser::ParseBuffer::new_with_lexer(lexer).map_err(unreadable)?;
    let wast: Wast<'_> = wast::parser::parse(&buffer).map_err(unreadable)?;
    let mut reader = Reader::default();
    for directive in wast.directives {
        let line = directive.span().linecol_in(text).0 + 1;
        if let Err(verdict) = reader.directive(line, directive) {
            reader.script.outcomes.push(Outcome { line, verdict });
        }
    }
    Ok(reader.finish())
}

/// An instance of the script.
struct Made {
    line: usize,
    instance: Instance,
    types: Types,
    /// The number of the instances that it is connected with.
    group: usize,
}

#[derive(Default)]
struct Reader {
    script: Script,
    made: Vec<Made>,
    /// Instances by the names that the script and imports have for them.
    names: HashMap<String, usize>,
    definitions: HashMap<String, Vec<u8>>,
    /// The latest instance; none where it was refused.
    latest: Option<usize>,
    calls: Vec<(usize, Call)>,
}

type Read<T = ()> = Result<T, Verdict>;

fn owned(id: Option<Id<'_>>) -> Option<String> {
    id.map(|id| id.name().to_owned())
}

fn failed(why: impl Into<String>) -> Verdict {
    Verdict::Failed(why.into())
}

fn assembled(component: &mut QuoteWat<'_>) -> Read<Vec<u8>> {
    component.encode().map_err(|e| failed(format!("the component cannot be assembled: {}", e.message())))
}

impl Reader {
    fn directive(&mut self, line: usize, directive: WastDirective<'_>) -> Read {
        match directive {
            WastDirective::Module(QuoteWat::Wat(Wat::Module(_))) => Err(Verdict::NotRun(Reason::CoreModule)),
            WastDirective::Module(mut component) => {
                self.latest = None;
                let name = owned(component.name());
                let bytes = assembled(&mut component)?;
                self.instantiate(line, bytes, name)
            }
            WastDirective::ModuleDefinition(mut component) => {
                let bytes = assembled(&mut component)?;
                self.validate(&bytes)?;
                self.definitions.insert(owned(component.name()).unwrap_or_default(), bytes);
                self.script.outcomes.push(Outcome { line, verdict: Verdict::Passed });
                Ok(())
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                self.latest = None;
                let definition = owned(module).unwrap_or_default();
                let bytes = self.definitions.get(&definition).cloned().ok_or(Verdict::NotRun(Reason::AfterFailure))?;
                self.instantiate(line, bytes, owned(instance))
            }
            WastDirective::Register { name, module, .. } => {
                let instance = self.instance(owned(module).as_deref())?;
                self.names.insert(name.to_owned(), instance);
                self.script.outcomes.push(Outcome { line, verdict: Verdict::Passed });
                Ok(())
            }
            WastDirective::Invoke(invoke) => self.call(line, &invoke, None, Expect::Return),
            WastDirective::AssertReturn { exec: WastExecute::Invoke(invoke), results, .. } => {
                self.call(line, &invoke, results.first(), Expect::Return)
            }
            WastDirective::AssertTrap { exec: WastExecute::Invoke(invoke), message, .. } => {
                self.call(line, &invoke, None, Expect::Trap(message.to_owned()))
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                self.call(line, &call, None, Expect::Trap(message.to_owned()))
            }
            WastDirective::AssertTrap { exec: WastExecute::Wat(component), message, .. } => {
                let bytes = assembled(&mut QuoteWat::Wat(component))?;
                let mut program = self.alone(line, bytes)?;
                program.traps = Some(message.to_owned());
                self.script.programs.push(program);
                Ok(())
            }
            WastDirective::AssertUnlinkable { module, message, .. } => {
                let component = assembled(&mut QuoteWat::Wat(module))?;
                let program = self.alone(line, component.clone())?;
                let message = message.to_owned();
                self.script.rejected.push(Rejected { line, component: Ok(component), program, message });
                Ok(())
            }
            WastDirective::AssertMalformed { mut module, message, .. }
            | WastDirective::AssertInvalid { mut module, message, .. } => {
                let component = module.encode().map_err(|e| e.message());
                let (program, message) = (Program::default(), message.to_owned());
                self.script.rejected.push(Rejected { line, component, program, message });
                Ok(())
            }
            _ => Err(Verdict::NotRun(Reason::Script)),
        }
    }

    fn validate(&self, bytes: &[u8]) -> Read<Types> {
        Validator::new_with_features(FEATURES).validate_all(bytes).map_err(|e| failed(format!("not valid: {e}")))
    }

    fn instance(&self, name: Option<&str>) -> Read<usize> {
        let found = match name {
            Some(name) => self.names.get(name).copied(),
            None => self.latest,
        };
        found.ok_or(Verdict::NotRun(Reason::AfterFailure))
    }

    fn instantiate(&mut self, line: usize, component: Vec<u8>, name: Option<String>) -> Read {
        let types = self.validate(&component)?;
        let imports = self.imports(&component)?;
        let number = self.made.len();
        let joined: Vec<usize> = imports.iter().map(|(_, of)| self.made[*of].group).collect();
        for made in self.made.iter_mut().filter(|made| joined.contains(&made.group)) {
            made.group = number;
        }
        self.made.push(Made { line, instance: Instance { component, imports }, types, group: number });
        self.latest = Some(number);
        if let Some(name) = name {
            self.names.insert(name, number);
        }
        Ok(())
    }

    /// What a component imports, by the instances that have these names.
    fn imports(&self, component: &[u8]) -> Read<Vec<(String, usize)>> {
        let mut imports = Vec::new();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(|e| failed(e.to_string()))? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let name = import.map_err(|e| failed(e.to_string()))?.name.name.to_owned();
                        let of = *self.names.get(&name).ok_or(Verdict::NotRun(Reason::HostImport))?;
                        imports.push((name, of));
                    }
                }
                _ => {}
            }
        }
        Ok(imports)
    }

    /// A program of a component and what it imports.
    fn alone(&self, line: usize, component: Vec<u8>) -> Read<Program> {
        let imports = self.imports(&component)?;
        let needed = self.needed(imports.iter().map(|(_, of)| *of));
        let mut program = Program { lines: vec![line], ..Program::default() };
        let numbers = self.copy(&needed, &mut program);
        let imports = imports.into_iter().map(|(name, of)| (name, numbers[&of])).collect();
        program.instances.push(Instance { component, imports });
        Ok(program)
    }

    /// These instances and what they import, in order.
    fn needed(&self, of: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut needed: Vec<usize> = of.collect();
        let mut next = 0;
        while let Some(&number) = needed.get(next) {
            let imports = self.made[number].instance.imports.iter().map(|(_, of)| *of);
            let new: Vec<_> = imports.filter(|of| !needed.contains(of)).collect();
            needed.extend(new);
            next += 1;
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Puts instances into a program; their numbers there.
    fn copy(&self, numbers: &[usize], program: &mut Program) -> HashMap<usize, usize> {
        let mut new = HashMap::new();
        for &number in numbers {
            let Instance { component, imports } = &self.made[number].instance;
            let imports = imports.iter().map(|(name, of)| (name.clone(), new[of])).collect();
            new.insert(number, program.instances.len());
            program.instances.push(Instance { component: component.clone(), imports });
        }
        new
    }

    fn call(&mut self, line: usize, invoke: &WastInvoke<'_>, result: Option<&WastRet<'_>>, expect: Expect) -> Read {
        let instance = self.instance(owned(invoke.module).as_deref())?;
        let signature = self.signature(instance, invoke.name)?;
        if signature.params.len() != invoke.args.len() {
            return Err(failed(format!("`{}` has {} parameters", invoke.name, signature.params.len())));
        }
        let args = invoke.args.iter().zip(&signature.params);
        let args = args.map(|(arg, (_, ty))| values::argument(arg, ty)).collect::<Result<_, _>>().map_err(failed)?;
        let expect = match (result, &signature.result) {
            (None, _) => expect,
            (Some(result), Some(ty)) => Expect::Result(values::result(result, ty).map_err(failed)?),
            (Some(_), None) => return Err(failed(format!("`{}` has no result", invoke.name))),
        };
        self.calls.push((line, Call { instance, name: invoke.name.to_owned(), signature, args, expect }));
        Ok(())
    }

    /// The type of a function that an instance exports.
    fn signature(&self, instance: usize, name: &str) -> Read<Signature> {
        let types = self.made[instance].types.as_ref();
        let Some(ComponentEntityType::Func(id)) = types.component_item_for_export(name).map(|item| item.ty) else {
            return Err(failed(format!("the component exports no function `{name}`")));
        };
        let function = &types[id];
        if function.async_ {
            return Err(Verdict::NotRun(Reason::Asynchronous));
        }
        let handle = |_| Verdict::NotRun(Reason::Handle);
        let param = |(name, ty): &(KebabString, ComponentValType)| {
            Ok((name.to_string(), Type::read(types, *ty).map_err(handle)?))
        };
        let params = function.params.iter().map(param);
        let result = function.result.map(|ty| Type::read(types, ty).map_err(handle)).transpose()?;
        Ok(Signature { params: params.collect::<Read<_>>()?, result })
    }

    fn finish(mut self) -> Script {
        let mut groups: Vec<usize> = self.made.iter().map(|made| made.group).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let members: Vec<usize> = (0..self.made.len()).filter(|&number| self.made[number].group == group).collect();
            let mut program = Program::default();
            let numbers = self.copy(&members, &mut program);
            program.lines = members.iter().map(|&number| self.made[number].line).collect();
            let calls = self.calls.iter().filter(|(_, call)| numbers.contains_key(&call.instance)).cloned();
            program.calls =
                calls.map(|(line, call)| (line, Call { instance: numbers[&call.instance], ..call })).collect();
            self.script.programs.push(program);
        }
        self.script
    }
}
