//! What is wrong with bytes from outside.

/// Bytes that are not the message they should be. Names the message and the field, and says what is
/// wrong with it; shown to people as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field}: {problem}")]
pub struct DecodeError {
    /// Name of the message, as in the `.proto` files.
    pub message: &'static str,
    /// Path of the field in it; `*` when the message as a whole is wrong.
    pub field: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl DecodeError {
    /// `field` of `message` is wrong as `problem` says.
    pub fn new(message: &'static str, field: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        // A problem may quote what came; the bound keeps a hostile text out of logs and answers.
        Self {
            message,
            field: field.into(),
            problem: problem.to_string().chars().take(300).collect(),
        }
    }

    /// The same error seen from a message that holds this one in `field`.
    pub(crate) fn within(self, message: &'static str, field: impl std::fmt::Display) -> Self {
        let inner = if self.field == "*" {
            field.to_string()
        } else {
            format!("{field}.{}", self.field)
        };
        Self {
            message,
            field: inner,
            problem: self.problem,
        }
    }
}

/// `bytes` as message `M`, named `message`, if they are at most `most` bytes.
pub(crate) fn decode<M: prost::Message + Default>(
    message: &'static str,
    bytes: &[u8],
    most: usize,
) -> Result<M, DecodeError> {
    at_most(message, "*", "bytes", bytes.len(), most)?;
    M::decode(bytes).map_err(|e| DecodeError::new(message, "*", format!("not this message: {e}")))
}

/// Refuses more than `most` of `what`.
pub(crate) fn at_most(
    message: &'static str,
    field: &str,
    what: &str,
    found: usize,
    most: usize,
) -> Result<(), DecodeError> {
    if found <= most {
        return Ok(());
    }
    Err(DecodeError::new(
        message,
        field,
        format!("{found} {what}, at most {most} are allowed"),
    ))
}

/// `text` parsed as the model's type `T`.
pub(crate) fn parse<T>(message: &'static str, field: &str, text: &str) -> Result<T, DecodeError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|e: T::Err| DecodeError::new(message, field, e))
}

/// Exactly `N` bytes.
pub(crate) fn exactly<const N: usize>(
    message: &'static str,
    field: &str,
    bytes: &[u8],
) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| {
        DecodeError::new(
            message,
            field,
            format!("{} bytes, exactly {N} are needed", bytes.len()),
        )
    })
}

/// A submessage that must be there.
pub(crate) fn required<T>(message: &'static str, field: &str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::new(message, field, "missing"))
}

/// A text of at most `most` bytes without control characters other than line ends and tabs.
pub(crate) fn text(
    message: &'static str,
    field: &str,
    value: String,
    most: usize,
) -> Result<String, DecodeError> {
    at_most(message, field, "bytes", value.len(), most)?;
    if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(DecodeError::new(message, field, "holds a control character"));
    }
    Ok(value)
}
