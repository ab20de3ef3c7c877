//! A chunk as it rests and travels: packed by zstd where that helps.

use bytes::Bytes;
use raccordo_model::manifest::CHUNK_BYTES_MAX;

/// Level of zstd: compression happens once, at publication, on chunks of a few hundred KiB.
const LEVEL: i32 = 3;

/// The stored bytes of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChunk {
    /// The bytes as stored.
    pub data: Bytes,
    /// Whether `data` is packed by zstd.
    pub packed: bool,
    /// Unpacked length in bytes.
    pub length: u32,
}

/// Why stored bytes are not a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// The stated length is not one that a chunk may have.
    #[error("a chunk of {0} bytes was announced, 1 to {CHUNK_BYTES_MAX} are allowed")]
    Length(u32),
    /// The bytes do not unpack to the stated length.
    #[error("the chunk does not unpack to the {0} bytes announced: fetch it again")]
    Damaged(u32),
}

impl StoredChunk {
    /// Packs `unpacked` when zstd saves more than 5 %, else keeps it plain.
    ///
    /// `unpacked` is a chunk: at most [`CHUNK_BYTES_MAX`] bytes.
    pub fn pack(unpacked: &[u8]) -> Self {
        let length = u32::try_from(unpacked.len()).unwrap_or(u32::MAX);
        // Below 64 bytes the frame costs more than it saves.
        if unpacked.len() >= 64
            && let Ok(packed) = zstd::bulk::compress(unpacked, LEVEL)
            && packed.len() * 20 < unpacked.len() * 19
        {
            return Self {
                data: packed.into(),
                packed: true,
                length,
            };
        }
        Self {
            data: Bytes::copy_from_slice(unpacked),
            packed: false,
            length,
        }
    }

    /// The unpacked bytes; the digest is not checked here, `Installer::accept` does.
    pub fn unpack(&self) -> Result<Vec<u8>, UnpackError> {
        unpack(&self.data, self.packed, self.length)
    }
}

/// Unpacks stored bytes to exactly `length` bytes; never allocates more, whatever the bytes claim.
pub fn unpack(data: &[u8], packed: bool, length: u32) -> Result<Vec<u8>, UnpackError> {
    if length == 0 || length > CHUNK_BYTES_MAX {
        return Err(UnpackError::Length(length));
    }
    let unpacked = if packed {
        zstd::bulk::decompress(data, length as usize).map_err(|_| UnpackError::Damaged(length))?
    } else if data.len() == length as usize {
        data.to_vec()
    } else {
        return Err(UnpackError::Damaged(length));
    };
    if unpacked.len() == length as usize {
        Ok(unpacked)
    } else {
        Err(UnpackError::Damaged(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_only_what_shrinks() {
        let text = "salute digitale ".repeat(1_000);
        let chunk = StoredChunk::pack(text.as_bytes());
        assert!(chunk.packed && chunk.data.len() < 1_000);
        assert_eq!(chunk.unpack().unwrap(), text.as_bytes());

        let noise: Vec<u8> = blake3::Hasher::new().finalize_xof().bytes(4_096);
        let chunk = StoredChunk::pack(&noise);
        assert!(!chunk.packed);
        assert_eq!(chunk.unpack().unwrap(), noise);
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 64 * 1_024 * 1_024], 3).unwrap();
        assert_eq!(unpack(&bomb, true, 1_024), Err(UnpackError::Damaged(1_024)));
        assert_eq!(unpack(&bomb, true, u32::MAX), Err(UnpackError::Length(u32::MAX)));
        assert_eq!(unpack(b"abc", false, 4), Err(UnpackError::Damaged(4)));
        assert_eq!(unpack(b"", false, 0), Err(UnpackError::Length(0)));
    }

    trait Bytes4k {
        fn bytes(self, count: usize) -> Vec<u8>;
    }

    impl Bytes4k for blake3::OutputReader {
        fn bytes(mut self, count: usize) -> Vec<u8> {
            let mut bytes = vec![0; count];
            self.fill(&mut bytes);
            bytes
        }
    }
}
