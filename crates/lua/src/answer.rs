//! What a script answers its client.

/// The version of the Redis protocol that answers are shaped for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Without types of its own for booleans, floats, maps and sets: what scripts start with.
    #[default]
    Two,
    /// What a script asks for with `redis.setresp(3)`.
    Three,
}

/// A value of the Redis protocol.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// Nothing.
    Null,
    /// A boolean of the third version.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A float of the third version.
    Double(f64),
    /// A string.
    Bulk(Vec<u8>),
    /// A status such as `OK`; one line.
    Status(Vec<u8>),
    /// An error with its code; one line.
    Error(Vec<u8>),
    /// An integer of any length, as digits.
    BigNumber(Vec<u8>),
    /// Text with its format, such as `txt`.
    Verbatim([u8; 3], Vec<u8>),
    /// Several values in order.
    Array(Vec<Answer>),
    /// Pairs.
    Map(Vec<(Answer, Answer)>),
    /// Distinct values.
    Set(Vec<Answer>),
}
