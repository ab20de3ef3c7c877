//! Which chunks of a staged tree are safely on disk.
//!
//! A file of 8-byte records: a number (little-endian) and its complement mixed with a constant. Chunks are
//! noted only after their bytes were synced, so that what the journal says is true after kill -9 and
//! after a power cut. Reading stops at the first record that is torn, zeroed or foreign; it is cut off
//! there, and appending goes on from that place.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

const MIX: u32 = 0x5243_4A31;
const RECORD_BYTES: u64 = 8;
/// Set in the number of a file that was linked whole; clear in the number of a chunk.
const LINKED: u32 = 1 << 31;

/// What is safely on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The chunk of this index is in all its places.
    Chunk(u32),
    /// The file of this index is a link to a verified file of an installed version: never written to.
    Linked(u32),
}

/// The journal of one staged tree, open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens or makes the journal and gives its records to `each`, at most `records_max`.
    pub fn open(path: &Path, records_max: usize, mut each: impl FnMut(Record)) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut reader = BufReader::new(&file);
        let mut good = 0;
        let mut record = [0; RECORD_BYTES as usize];
        for _ in 0..records_max {
            match reader.read_exact(&mut record) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
            let Some(record) = decode(record) else { break };
            each(record);
            good += RECORD_BYTES;
        }
        drop(reader);
        file.set_len(good)?;
        let mut journal = Self { file };
        journal.file.seek(SeekFrom::End(0))?;
        Ok(journal)
    }

    /// Appends records and syncs. What they say must be synced before.
    ///
    /// If we die in here, a prefix of the records is kept.
    pub fn append(&mut self, records: impl IntoIterator<Item = Record>) -> io::Result<()> {
        let bytes: Vec<u8> = records.into_iter().flat_map(encode).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()
    }

    /// Forgets everything and notes `records` instead; if we die in here, fewer are kept.
    pub fn rewrite(&mut self, records: impl IntoIterator<Item = Record>) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.sync_all()?;
        self.append(records)
    }
}

fn encode(record: Record) -> [u8; 8] {
    let number = match record {
        Record::Chunk(index) => index,
        Record::Linked(index) => index | LINKED,
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&(!number ^ MIX).to_le_bytes());
    bytes
}

fn decode(bytes: [u8; 8]) -> Option<Record> {
    let number = u32::from_le_bytes(bytes[..4].try_into().ok()?);
    let check = u32::from_le_bytes(bytes[4..].try_into().ok()?);
    if check != !number ^ MIX {
        return None;
    }
    Some(if number & LINKED == 0 {
        Record::Chunk(number)
    } else {
        Record::Linked(number & !LINKED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Vec<Record> {
        let mut records = Vec::new();
        Journal::open(path, 1_000, |record| records.push(record)).unwrap();
        records
    }

    #[test]
    fn a_torn_or_zeroed_tail_is_ignored_and_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress");
        let written = [Record::Chunk(0), Record::Linked(3), Record::Chunk(7)];
        Journal::open(&path, 1_000, |_| {})
            .unwrap()
            .append(written)
            .unwrap();
        assert_eq!(read(&path), written);

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..20]).unwrap();
        assert_eq!(read(&path), written[..2]);
        Journal::open(&path, 1_000, |_| {})
            .unwrap()
            .append([Record::Chunk(9)])
            .unwrap();
        assert_eq!(
            read(&path),
            [Record::Chunk(0), Record::Linked(3), Record::Chunk(9)]
        );

        std::fs::write(&path, [&bytes[..8], &[0; 16]].concat()).unwrap();
        assert_eq!(read(&path), written[..1]);
    }
}
