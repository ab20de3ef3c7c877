//! Names of bytes: BLAKE3, in the newtype that says over what.

use std::io::{self, Read};

use raccordo_model::digest::{ChunkDigest, FileDigest, ManifestDigest};

/// The digest that names an encoded manifest.
pub fn manifest_digest(encoded: &[u8]) -> ManifestDigest {
    ManifestDigest(*blake3::hash(encoded).as_bytes())
}

/// The digest that names a chunk, over its unpacked bytes.
pub fn chunk_digest(unpacked: &[u8]) -> ChunkDigest {
    ChunkDigest(*blake3::hash(unpacked).as_bytes())
}

/// The digest and the length in bytes of what `reader` still holds, read 64 KiB at a time.
pub fn file_digest(mut reader: impl Read) -> io::Result<(FileDigest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 * 1_024];
    let mut length = 0_u64;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((FileDigest(*hasher.finalize().as_bytes()), length)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
