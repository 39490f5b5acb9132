//! Values of the host before they are passed to a component: whether they have the types of the function, and whether the host
//! has the resources among them. Nothing has changed where they do not.

use super::handles::{Passage, ResourceTypes, Uses};
use super::{FuncType, Type, Val};
use crate::{Error, Result};

/// Refuses functions with resources that the host does not define.
pub(super) fn check_types(ty: &FuncType, types: &ResourceTypes) -> Result<()> {
    let all = ty.params.iter().map(|(_, ty)| ty).chain(&ty.result);
    all.into_iter().try_for_each(|ty| check_type(ty, types))
}

fn check_type(ty: &Type, types: &ResourceTypes) -> Result<()> {
    if let Type::Own(ty) | Type::Borrow(ty) = ty {
        return types.check(ty);
    }
    inner(ty).into_iter().try_for_each(|ty| check_type(ty, types))
}

/// The types that a type is made of.
fn inner(ty: &Type) -> Vec<&Type> {
    match ty {
        Type::List(ty) | Type::Option(ty) => vec![ty],
        Type::Record(fields) => fields.iter().map(|(_, ty)| ty).collect(),
        Type::Tuple(types) => types.iter().collect(),
        Type::Variant(cases) => cases.iter().filter_map(|(_, ty)| ty.as_ref()).collect(),
        Type::Result(ok, err) => [ok, err].into_iter().flatten().map(|ty| &**ty).collect(),
        _ => Vec::new(),
    }
}

/// Whether values of a type have resources.
fn has_resources(ty: &Type) -> bool {
    matches!(ty, Type::Own(_) | Type::Borrow(_)) || inner(ty).into_iter().any(has_resources)
}

/// Checks that arguments have the types of the parameters, and that the host can pass the resources among them.
pub(super) fn check_args(ty: &FuncType, args: &[Val], passage: &Passage<'_>) -> Result<()> {
    if args.len() != ty.params.len() {
        return Err(Error::usage(format!(
            "{} arguments, and the function has {} parameters",
            args.len(),
            ty.params.len()
        )));
    }
    let params = || ty.params.iter().zip(args);
    let wrong = params().find(|((_, ty), arg)| !fits(ty, arg));
    if let Some(((name, ty), arg)) = wrong {
        return Err(Error::usage(format!("{arg:?} for the parameter `{name}`, which is a {ty:?}")));
    }
    let mut uses = Uses::default();
    params().try_for_each(|((_, ty), arg)| check_resources(ty, arg, passage, &mut uses))
}

/// Checks the resources of a value, which has the type.
fn check_resources(ty: &Type, value: &Val, passage: &Passage<'_>, uses: &mut Uses) -> Result<()> {
    if !has_resources(ty) {
        return Ok(());
    }
    let mut check = |ty: &Type, value: &Val| check_resources(ty, value, passage, uses);
    match (ty, value) {
        (Type::Own(ty), &Val::Resource(resource)) => passage.check_own(ty, resource, uses),
        (Type::Borrow(ty), &Val::Resource(resource)) => passage.check_borrow(ty, resource, uses),
        (Type::List(ty), Val::List(values)) => values.iter().try_for_each(|value| check(ty, value)),
        (Type::Record(fields), Val::Record(values)) => {
            fields.iter().zip(values).try_for_each(|((_, ty), (_, value))| check(ty, value))
        }
        (Type::Tuple(types), Val::Tuple(values)) => {
            types.iter().zip(values).try_for_each(|(ty, value)| check(ty, value))
        }
        (Type::Variant(cases), Val::Variant(name, Some(value))) => {
            let case = cases.iter().find(|(case, _)| case == name).and_then(|(_, ty)| ty.as_ref());
            case.map_or(Ok(()), |ty| check(ty, value))
        }
        (Type::Option(ty), Val::Option(Some(value))) => check(ty, value),
        (Type::Result(Some(ty), _), Val::Result(Ok(Some(value))))
        | (Type::Result(_, Some(ty)), Val::Result(Err(Some(value)))) => check(ty, value),
        _ => Ok(()),
    }
}

/// Whether a value is one of a type.
pub(super) fn fits(ty: &Type, value: &Val) -> bool {
    let payload = |ty: Option<&Type>, value: &Option<Box<Val>>| match (ty, value) {
        (None, None) => true,
        (Some(ty), Some(value)) => fits(ty, value),
        _ => false,
    };
    match (ty, value) {
        (Type::Bool, Val::Bool(_))
        | (Type::S8, Val::S8(_))
        | (Type::U8, Val::U8(_))
        | (Type::S16, Val::S16(_))
        | (Type::U16, Val::U16(_))
        | (Type::S32, Val::S32(_))
        | (Type::U32, Val::U32(_))
        | (Type::S64, Val::S64(_))
        | (Type::U64, Val::U64(_))
        | (Type::F32, Val::F32(_))
        | (Type::F64, Val::F64(_))
        | (Type::Char, Val::Char(_))
        | (Type::String, Val::String(_))
        | (Type::Own(_) | Type::Borrow(_), Val::Resource(_)) => true,
        (Type::List(ty), Val::List(values)) => values.iter().all(|value| fits(ty, value)),
        (Type::Record(fields), Val::Record(values)) => {
            fields.len() == values.len()
                && fields.iter().zip(values).all(|((name, ty), (given, value))| name == given && fits(ty, value))
        }
        (Type::Tuple(types), Val::Tuple(values)) => {
            types.len() == values.len() && types.iter().zip(values).all(|(ty, value)| fits(ty, value))
        }
        (Type::Variant(cases), Val::Variant(name, value)) => {
            cases.iter().any(|(case, ty)| case == name && payload(ty.as_ref(), value))
        }
        (Type::Enum(names), Val::Enum(name)) => names.contains(name),
        (Type::Flags(names), Val::Flags(set)) => set.iter().all(|name| names.contains(name)),
        (Type::Option(_), Val::Option(None)) => true,
        (Type::Option(ty), Val::Option(value)) => payload(Some(ty), value),
        (Type::Result(ok, _), Val::Result(Ok(value))) => payload(ok.as_deref(), value),
        (Type::Result(_, err), Val::Result(Err(value))) => payload(err.as_deref(), value),
        _ => false,
    }
}
