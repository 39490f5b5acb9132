//! Types of Rust that are types of WIT. The bindings that `wasmelt compile --bindings` writes have more of them: records,
//! variants, enumerations and flags.

use super::Val;

/// A type of Rust whose values are those of a type of WIT.
pub trait Value: Sized {
    /// Returns the value as one of a type that is not known when the host is compiled.
    fn into_val(self) -> Val;

    /// Returns the value; `None` where it is one of another type.
    fn from_val(val: Val) -> Option<Self>;

    /// Returns the value as a result of a function, a case of a variant, or a side of a `result`, where it may be left out.
    fn into_payload(self) -> Option<Val> {
        Some(self.into_val())
    }

    /// Returns what may be left out.
    fn from_payload(payload: Option<Val>) -> Option<Self> {
        payload.and_then(Self::from_val)
    }
}

/// What is left out.
impl Value for () {
    fn into_val(self) -> Val {
        Val::Tuple(Vec::new())
    }

    fn from_val(val: Val) -> Option<Self> {
        (val == Val::Tuple(Vec::new())).then_some(())
    }

    fn into_payload(self) -> Option<Val> {
        None
    }

    fn from_payload(payload: Option<Val>) -> Option<Self> {
        payload.is_none().then_some(())
    }
}

macro_rules! plain {
    ($($case:ident $ty:ty;)*) => {
        $(impl Value for $ty {
            fn into_val(self) -> Val {
                Val::$case(self)
            }

            fn from_val(val: Val) -> Option<Self> {
                if let Val::$case(value) = val { Some(value) } else { None }
            }
        })*
    };
}

plain! {
    Bool bool; S8 i8; U8 u8; S16 i16; U16 u16; S32 i32; U32 u32; S64 i64; U64 u64; F32 f32; F64 f64; Char char;
    String String;
}

impl<V: Value> Value for Vec<V> {
    fn into_val(self) -> Val {
        Val::List(self.into_iter().map(V::into_val).collect())
    }

    fn from_val(val: Val) -> Option<Self> {
        let Val::List(elements) = val else { return None };
        elements.into_iter().map(V::from_val).collect()
    }
}

impl<V: Value> Value for Option<V> {
    fn into_val(self) -> Val {
        Val::Option(self.map(|value| Box::new(value.into_val())))
    }

    fn from_val(val: Val) -> Option<Self> {
        match val {
            Val::Option(None) => Some(None),
            Val::Option(Some(value)) => V::from_val(*value).map(Some),
            _ => None,
        }
    }
}

impl<V: Value, E: Value> Value for Result<V, E> {
    fn into_val(self) -> Val {
        Val::Result(match self {
            Ok(value) => Ok(value.into_payload().map(Box::new)),
            Err(error) => Err(error.into_payload().map(Box::new)),
        })
    }

    fn from_val(val: Val) -> Option<Self> {
        match val {
            Val::Result(Ok(value)) => V::from_payload(value.map(|value| *value)).map(Ok),
            Val::Result(Err(error)) => E::from_payload(error.map(|error| *error)).map(Err),
            _ => None,
        }
    }
}

macro_rules! tuple {
    ($($name:ident)+) => {
        impl<$($name: Value),+> Value for ($($name,)+) {
            #[allow(non_snake_case, reason = "values are named like their types")]
            fn into_val(self) -> Val {
                let ($($name,)+) = self;
                Val::Tuple(vec![$($name.into_val()),+])
            }

            fn from_val(val: Val) -> Option<Self> {
                let Val::Tuple(values) = val else { return None };
                let mut values = values.into_iter();
                let tuple = ($($name::from_val(values.next()?)?,)+);
                values.next().is_none().then_some(tuple)
            }
        }
    };
}

macro_rules! tuples {
    ($first:ident) => { tuple! { $first } };
    ($first:ident $($rest:ident)+) => {
        tuple! { $first $($rest)+ }
        tuples! { $($rest)+ }
    };
}

tuples! { A B C D E F G H I J K L M N O P }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_type() {
        type Deep = (u8, Option<Vec<char>>, Result<(), String>);
        let deep: Deep = (1, Some(vec!['\u{e9}']), Err("no".to_owned()));
        assert_eq!(Deep::from_val(deep.clone().into_val()), Some(deep));
        let none: (u8, Option<Vec<char>>, Result<(), String>) = (1, None, Ok(()));
        assert_eq!(Deep::from_val(none.clone().into_val()), Some(none));
        for other in [
            Val::U8(1),
            Val::Tuple(vec![Val::U8(1)]),
            (1u8, None::<Vec<char>>, Ok::<_, String>(()), 1u8).into_val(),
            (1u16, None::<Vec<char>>, Ok::<_, String>(())).into_val(),
            (1u8, Some(vec![1u8]), Ok::<_, String>(())).into_val(),
            (1u8, None::<Vec<char>>, Ok::<_, String>(1u8)).into_val(),
            (1u8, None::<Vec<char>>, Err::<(), _>(())).into_val(),
        ] {
            assert_eq!(Deep::from_val(other.clone()), None, "{other:?}");
        }
        assert_eq!(<()>::from_payload(().into_payload()), Some(()));
        assert_eq!(u8::from_payload(None), None);
    }
}
