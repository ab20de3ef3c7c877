//! Where chunks and manifests rest: packs in an object store, a local folder by default.
//!
//! `packs/<BLAKE3 of the object>`: the stored bytes of the chunks; then an index of 45 bytes each (digest,
//! offset u32, stored length u32, unpacked length u32, packed u8; little-endian); then a footer of 44
//! bytes (BLAKE3 of the index, number of chunks u32, `RCPACK01`). `manifests/<digest>`: encoded manifests.
//!
//! *If we die*: an object appears complete or not at all (the local store writes a staging file, syncs it,
//! links it to its name and syncs the folder before `put` returns), under a name that its content
//! determines, by put-if-absent. A crash leaves at most a staging file `…#n` that nobody lists, and packs
//! whose chunks no manifest names yet; publishing again finds them and goes on from there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use raccordo_model::digest::{ChunkDigest, ManifestDigest};
use raccordo_model::manifest::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX};

use crate::digest::{chunk_digest, manifest_digest};
use crate::stored::StoredChunk;

/// Stored bytes after which a pack is closed.
pub const PACK_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Most chunks of a pack.
pub const PACK_CHUNKS_MAX: usize = 16_384;
/// Most chunks of a store: its index is held in memory, about 80 bytes each.
pub const STORE_CHUNKS_MAX: usize = 2_000_000;

const MAGIC: &[u8; 8] = b"RCPACK01";
const ENTRY_BYTES: usize = 45;
const FOOTER_BYTES: u64 = 44;

/// Why the store could not serve.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The object store failed; trying again may help.
    #[error("the content store failed: {0}")]
    Store(#[from] object_store::Error),
    /// The folder of a local store cannot be made.
    #[error("cannot make the content folder `{0}`: {1}")]
    Folder(std::path::PathBuf, std::io::Error),
    /// An object is not what its name says.
    #[error("the stored object `{object}` is damaged ({why}): restore it from a backup")]
    Damaged {
        /// Key of the object.
        object: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Bytes were handed over under a name that is not theirs, or over a bound.
    #[error("refused to store {0}")]
    Refused(&'static str),
}

#[derive(Debug, Clone, Copy)]
struct Location {
    pack: u32,
    offset: u32,
    stored: u32,
    length: u32,
    packed: bool,
}

#[derive(Debug, Default)]
struct Index {
    packs: Vec<[u8; 32]>,
    chunks: BTreeMap<ChunkDigest, Location>,
}

/// Chunks and manifests behind an object store. Clones share the index.
#[derive(Debug, Clone)]
pub struct PackStore {
    objects: Arc<dyn ObjectStore>,
    index: Arc<RwLock<Index>>,
}

impl PackStore {
    /// Opens the store in a local folder, made when absent.
    pub async fn local(folder: &Path) -> Result<Self, PackError> {
        std::fs::create_dir_all(folder).map_err(|error| PackError::Folder(folder.into(), error))?;
        let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Self::open(Arc::new(objects)).await
    }

    /// Opens the store in any object store that has put-if-absent, and reads the index of every pack.
    pub async fn open(objects: Arc<dyn ObjectStore>) -> Result<Self, PackError> {
        let store = Self {
            objects,
            index: Arc::default(),
        };
        let mut packs = store.objects.list(Some(&Key::from("packs")));
        while let Some(meta) = packs.try_next().await? {
            // A name that is no digest is not a pack: somebody else's file.
            let Some(name) = meta.location.filename().and_then(pack_name) else {
                continue;
            };
            let entries = store.read_index(&meta.location, meta.size).await?;
            store.enter(name, entries)?;
        }
        Ok(store)
    }

    /// Whether the chunk is held.
    pub fn contains(&self, digest: &ChunkDigest) -> bool {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.chunks.contains_key(digest)
    }

    /// Number of distinct chunks held.
    pub fn chunk_count(&self) -> usize {
        self.index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .chunks
            .len()
    }

    /// The stored bytes of a chunk; the reader verifies them.
    pub async fn get(&self, digest: &ChunkDigest) -> Result<Option<StoredChunk>, PackError> {
        let (location, name) = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            let Some(location) = index.chunks.get(digest).copied() else {
                return Ok(None);
            };
            let Some(name) = index.packs.get(location.pack as usize).copied() else {
                return Ok(None);
            };
            (location, name)
        };
        let start = u64::from(location.offset);
        let range = start..start + u64::from(location.stored);
        let data = self.objects.get_range(&pack_key(&name), range).await?;
        Ok(Some(StoredChunk {
            data,
            packed: location.packed,
            length: location.length,
        }))
    }

    /// Stores an encoded manifest under its digest; storing it again changes nothing.
    pub async fn put_manifest(&self, digest: &ManifestDigest, encoded: &[u8]) -> Result<(), PackError> {
        if encoded.len() > MANIFEST_BYTES_MAX {
            return Err(PackError::Refused("a manifest longer than 16 MiB"));
        }
        if manifest_digest(encoded) != *digest {
            return Err(PackError::Refused(
                "a manifest under a digest that is not its own",
            ));
        }
        self.put_if_absent(&manifest_key(digest), Bytes::copy_from_slice(encoded))
            .await
    }

    /// The encoded manifest of this digest, verified.
    pub async fn get_manifest(&self, digest: &ManifestDigest) -> Result<Option<Bytes>, PackError> {
        let key = manifest_key(digest);
        let found = match self.objects.get(&key).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if found.meta.size > MANIFEST_BYTES_MAX as u64 {
            return Err(PackError::Damaged {
                object: key.to_string(),
                why: "it is longer than 16 MiB",
            });
        }
        let bytes = found.bytes().await?;
        if manifest_digest(&bytes) == *digest {
            Ok(Some(bytes))
        } else {
            Err(PackError::Damaged {
                object: key.to_string(),
                why: "its bytes have another digest",
            })
        }
    }

    /// A writer that gathers chunks into packs.
    pub fn writer(&self) -> PackWriter {
        PackWriter {
            store: self.clone(),
            data: Vec::new(),
            entries: BTreeMap::new(),
        }
    }

    /// Reads every pack again and checks it and every chunk in it; returns the number of packs.
    ///
    /// Holds one pack and one chunk in memory.
    pub async fn verify(&self) -> Result<usize, PackError> {
        let names = self
            .index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .packs
            .clone();
        for name in &names {
            let key = pack_key(name);
            let damaged = |why| PackError::Damaged {
                object: key.to_string(),
                why,
            };
            let bytes = self.objects.get(&key).await?.bytes().await?;
            if blake3::hash(&bytes).as_bytes() != name {
                return Err(damaged("its bytes have another digest"));
            }
            for (digest, location) in self.read_index(&key, bytes.len() as u64).await? {
                let start = location.offset as usize;
                let data = bytes.slice(start..start + location.stored as usize);
                let chunk = StoredChunk {
                    data,
                    packed: location.packed,
                    length: location.length,
                };
                let unpacked = chunk.unpack().map_err(|_| damaged("a chunk does not unpack"))?;
                if chunk_digest(&unpacked) != digest {
                    return Err(damaged("a chunk has another digest"));
                }
            }
        }
        Ok(names.len())
    }

    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<(), PackError> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self.objects.put_opts(key, bytes.into(), options).await {
            // The name is the digest of the content: what is there is what we bring.
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn read_index(&self, key: &Key, size: u64) -> Result<Vec<(ChunkDigest, Location)>, PackError> {
        let damaged = |why| PackError::Damaged {
            object: key.to_string(),
            why,
        };
        if size < FOOTER_BYTES {
            return Err(damaged("it is too short"));
        }
        let tail = |bytes| GetOptions {
            range: Some(GetRange::Suffix(bytes)),
            ..GetOptions::default()
        };
        let footer = self
            .objects
            .get_opts(key, tail(FOOTER_BYTES))
            .await?
            .bytes()
            .await?;
        let count = match footer
            .get(32..36)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_le_bytes)
        {
            Some(count) if footer.ends_with(MAGIC) && count as usize <= PACK_CHUNKS_MAX => count as usize,
            _ => return Err(damaged("its footer is not one of ours")),
        };
        let index_bytes = (count * ENTRY_BYTES) as u64;
        let Some(data_bytes) = size.checked_sub(FOOTER_BYTES + index_bytes) else {
            return Err(damaged("it is too short"));
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        let index = self
            .objects
            .get_range(key, data_bytes..data_bytes + index_bytes)
            .await?;
        if blake3::hash(&index).as_bytes()[..] != footer[..32] {
            return Err(damaged("its index has another digest"));
        }
        let entries = index
            .chunks_exact(ENTRY_BYTES)
            .map(read_entry)
            .collect::<Option<Vec<_>>>();
        let inside = |l: &Location| u64::from(l.offset) + u64::from(l.stored) <= data_bytes;
        match entries {
            Some(entries) if entries.iter().all(|(_, location)| inside(location)) => Ok(entries),
            _ => Err(damaged("its index points outside")),
        }
    }

    fn enter(&self, name: [u8; 32], entries: Vec<(ChunkDigest, Location)>) -> Result<(), PackError> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if index.chunks.len() + entries.len() > STORE_CHUNKS_MAX {
            return Err(PackError::Refused("more than 2,000,000 chunks in one store"));
        }
        let pack = u32::try_from(index.packs.len()).unwrap_or(u32::MAX);
        index.packs.push(name);
        for (digest, location) in entries {
            index
                .chunks
                .entry(digest)
                .or_insert(Location { pack, ..location });
        }
        Ok(())
    }
}

/// Gathers chunks into packs of about [`PACK_BYTES_MAX`]. Dropped without [`PackWriter::finish`], the pack
/// in hand is lost; the earlier ones stay.
#[derive(Debug)]
pub struct PackWriter {
    store: PackStore,
    data: Vec<u8>,
    entries: BTreeMap<ChunkDigest, Location>,
}

impl PackWriter {
    /// Adds a chunk unless the store or the pack in hand has it. `chunk` must be what `digest` names: the
    /// caller has just computed or verified it.
    pub async fn add(&mut self, digest: ChunkDigest, chunk: StoredChunk) -> Result<(), PackError> {
        if chunk.data.len() > CHUNK_BYTES_MAX as usize || chunk.length > CHUNK_BYTES_MAX {
            return Err(PackError::Refused("a chunk longer than 4 MiB"));
        }
        if self.store.contains(&digest) || self.entries.contains_key(&digest) {
            return Ok(());
        }
        let full = self.data.len() + chunk.data.len() > PACK_BYTES_MAX;
        if full || self.entries.len() >= PACK_CHUNKS_MAX {
            self.finish().await?;
        }
        // Both fit: PACK_BYTES_MAX is far below u32::MAX.
        let offset = self.data.len() as u32;
        let stored = chunk.data.len() as u32;
        let location = Location {
            pack: 0,
            offset,
            stored,
            length: chunk.length,
            packed: chunk.packed,
        };
        self.data.extend_from_slice(&chunk.data);
        self.entries.insert(digest, location);
        Ok(())
    }

    /// Stores the pack in hand, durably; its chunks can be had from now on.
    pub async fn finish(&mut self) -> Result<(), PackError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let entries: Vec<_> = std::mem::take(&mut self.entries).into_iter().collect();
        let mut object = std::mem::take(&mut self.data);
        let data_bytes = object.len();
        for (digest, location) in &entries {
            object.extend_from_slice(digest.as_bytes());
            for number in [location.offset, location.stored, location.length] {
                object.extend_from_slice(&number.to_le_bytes());
            }
            object.push(u8::from(location.packed));
        }
        let index_digest = blake3::hash(&object[data_bytes..]);
        object.extend_from_slice(index_digest.as_bytes());
        object.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        object.extend_from_slice(MAGIC);
        let name = *blake3::hash(&object).as_bytes();
        self.store.put_if_absent(&pack_key(&name), object.into()).await?;
        self.store.enter(name, entries)
    }
}

fn read_entry(bytes: &[u8]) -> Option<(ChunkDigest, Location)> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let digest = ChunkDigest::from_slice(bytes.get(..32)?)?;
    let packed = *bytes.get(44)? != 0;
    Some((
        digest,
        Location {
            pack: 0,
            offset: number(32)?,
            stored: number(36)?,
            length: number(40)?,
            packed,
        },
    ))
}

fn pack_name(text: &str) -> Option<[u8; 32]> {
    ChunkDigest::from_hex(text).ok().map(|digest| digest.0)
}

fn pack_key(name: &[u8; 32]) -> Key {
    Key::from(format!("packs/{}", hex::encode(name)))
}

fn manifest_key(digest: &ManifestDigest) -> Key {
    Key::from(format!("manifests/{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roundtrip::noise;

    #[tokio::test]
    async fn chunks_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = PackStore::local(folder.path()).await.unwrap();
        let chunks: Vec<_> = (0..40).map(|i| noise(i, 300_000 + i as usize)).collect();
        let mut writer = store.writer();
        for chunk in &chunks {
            writer
                .add(chunk_digest(chunk), StoredChunk::pack(chunk))
                .await
                .unwrap();
        }
        assert!(
            !store.contains(&chunk_digest(&chunks[39])),
            "the last pack is not stored yet"
        );
        writer.finish().await.unwrap();
        let store = PackStore::local(folder.path()).await.unwrap();
        assert_eq!((store.chunk_count(), store.verify().await.unwrap()), (40, 2));
        for chunk in &chunks {
            let stored = store.get(&chunk_digest(chunk)).await.unwrap().unwrap();
            assert_eq!(&stored.unpack().unwrap(), chunk);
        }
        assert_eq!(store.get(&chunk_digest(b"other")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_flipped_byte_is_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = PackStore::local(folder.path()).await.unwrap();
        let mut writer = store.writer();
        writer
            .add(chunk_digest(b"abcd"), StoredChunk::pack(b"abcd"))
            .await
            .unwrap();
        writer.finish().await.unwrap();
        let pack = std::fs::read_dir(folder.path().join("packs"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let good = std::fs::read(&pack).unwrap();
        let name = pack.file_name().unwrap().to_str().unwrap();
        for at in [0, 10, good.len() - 44, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&pack, bad).unwrap();
            let error = store.verify().await.unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            // Damage in the index or the footer is noticed at opening too.
            assert_eq!(
                PackStore::local(folder.path()).await.is_err(),
                at != 0,
                "byte {at}"
            );
        }
    }

    #[tokio::test]
    async fn manifests_are_kept_under_their_own_digest_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = PackStore::local(folder.path()).await.unwrap();
        let digest = manifest_digest(b"encoded");
        assert!(store.put_manifest(&digest, b"other").await.is_err());
        assert_eq!(store.get_manifest(&digest).await.unwrap(), None);
        store.put_manifest(&digest, b"encoded").await.unwrap();
        store.put_manifest(&digest, b"encoded").await.unwrap();
        assert_eq!(store.get_manifest(&digest).await.unwrap().unwrap(), "encoded");
        std::fs::write(folder.path().join(format!("manifests/{digest}")), "other").unwrap();
        assert!(
            store
                .get_manifest(&digest)
                .await
                .unwrap_err()
                .to_string()
                .contains("damaged")
        );
    }
}
