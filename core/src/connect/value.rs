//! A value of Kafka Connect. Its schema lies beside it.

/// See the module.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are those of the kinds")]
pub enum Value {
    Null,
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    String(String),
    Bytes(Vec<u8>),
    Decimal(Decimal),
    /// Milliseconds since 1970-01-01 UTC.
    Timestamp(i64),
    Array(Vec<Self>),
    /// Each name once, in order.
    Map(Vec<(String, Self)>),
    /// One value for each field of its schema, in the same order.
    Struct(Vec<Self>),
}

/// `unscaled / 10^scale`, as `java.math.BigDecimal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The digits.
    pub unscaled: i128,
    /// How many of them stand behind the point.
    pub scale: i32,
}
