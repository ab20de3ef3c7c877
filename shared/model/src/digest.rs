//! 32-byte digests. The newtype says which function made it and over what.

use std::fmt;

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: write 64 hexadecimal digits")]
pub struct NotADigest(pub String);

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The digest in `bytes`, or `None` unless there are exactly 32.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The digest written as 64 hexadecimal digits.
            pub fn from_hex(text: &str) -> Result<Self, NotADigest> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| NotADigest(text.into()))?;
                Ok(Self(bytes))
            }

            /// The bytes of the digest.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..6]))
            }
        }
    };
}

digest! {
    /// RFC 6962 leaf hash: SHA-256(0x00 ‖ header ‖ body hash).
    LeafHash
}
digest! {
    /// RFC 6962 hash of an inner node, or of a whole tree.
    TreeHash
}
digest! {
    /// SHA-256(salt ‖ stored body).
    BodyHash
}
digest! {
    /// BLAKE3 of the unpacked bytes of a chunk.
    ChunkDigest
}
digest! {
    /// BLAKE3 of a whole file.
    FileDigest
}
digest! {
    /// BLAKE3 of an encoded manifest: names a tree of files.
    ManifestDigest
}
