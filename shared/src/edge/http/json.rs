//! A JSON document as a tree, deserialized with errors that carry the kind of fault instead of a sentence.
//!
//! serde_json reports every fault as English text, which may change with any of its releases and may quote what was sent.
//! This deserializer gets the same faults from serde's derived code by the functions of [`serde::de::Error`].

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};

/// A JSON value. An object keeps members that come twice, so that they can be refused.
#[derive(Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The kind of fault of a JSON document. It contains no value that was sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// A required member is missing.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// An object has a member that its type does not have.
    #[error("the field is unknown")]
    Unknown {
        /// Names of the members that the type has.
        allowed: &'static [&'static str],
    },
    /// An object has a member twice.
    #[error("the field {0} is duplicated")]
    Duplicate(&'static str),
    /// The value is of another JSON type than this one, or a number out of the range of its Rust type.
    #[error("the value is not {0}")]
    NotA(&'static str),
    /// The text is none of these words.
    #[error("the value is none of the allowed ones")]
    NotOneOf(&'static [&'static str]),
    /// A validator of this crate refused the value, with this message.
    #[error("{0}")]
    Refused(String),
    /// The value does not fit its type in another way.
    #[error("the value does not fit")]
    Unfit,
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Unfit
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Unfit
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::Unfit
    }

    fn unknown_variant(_: &str, allowed: &'static [&'static str]) -> Self {
        Self::NotOneOf(allowed)
    }

    fn unknown_field(_: &str, allowed: &'static [&'static str]) -> Self {
        Self::Unknown { allowed }
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Duplicate(name)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonVisitor;

        impl<'de> Visitor<'de> for JsonVisitor {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Unsigned(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Signed(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
                let mut array = Vec::new();
                while let Some(element) = elements.next_element()? {
                    array.push(element);
                }
                Ok(Json::Array(array))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some(member) = members.next_entry()? {
                    object.push(member);
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(JsonVisitor)
    }
}

impl IntoDeserializer<'_, Fault> for Json {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Json {
    /// Deserializes a value whose type expects `name`.
    fn expecting<'de, V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor).map_err(|fault| if fault == Fault::Unfit { Fault::NotA(name) } else { fault })
    }
}

macro_rules! expect {
    ($($name:literal: $($method:ident)*;)*) => {
        $($(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                self.expecting($name, visitor)
            }
        )*)*
    };
}

impl<'de> Deserializer<'de> for Json {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(value) => visitor.visit_string(value),
            Self::Array(elements) => visitor.visit_seq(SeqDeserializer::new(elements.into_iter())),
            Self::Object(members) => visitor.visit_map(MapDeserializer::new(members.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        allowed: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Text(variant) => visitor.visit_enum(variant.into_deserializer()),
            _ => Err(Fault::NotOneOf(allowed)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.expecting("an object", visitor)
    }

    expect! {
        "true or false": deserialize_bool;
        "a whole number": deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64;
        "a number": deserialize_f32 deserialize_f64;
        "text": deserialize_char deserialize_str deserialize_string;
        "an array": deserialize_seq;
        "an object": deserialize_map;
    }

    serde::forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}
