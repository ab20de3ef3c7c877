//! How a file is cut into chunks.
//!
//! A cut depends on nothing but the file's bytes. Cut points only ever divide the file, so that the
//! pieces cover it exactly by construction, whatever a zip says about itself.

use std::fs::File;
use std::io::{self, Read};

use fastcdc::v2020::StreamCDC;
use raccordo_model::manifest::Chunker;
use rawzip::{FileReader, RECOMMENDED_BUFFER_SIZE, RangeReader, ZipArchive};

/// Shortest chunk that FastCDC makes (but for the last of a stretch), in bytes.
pub const FASTCDC_BYTES_MIN: u32 = 64 * 1_024;
/// Nominal chunk of FastCDC, in bytes.
pub const FASTCDC_BYTES_AVERAGE: u32 = 256 * 1_024;
/// Longest chunk of FastCDC, in bytes.
pub const FASTCDC_BYTES_MAX: u32 = 1_024 * 1_024;
/// Longest stretch that stays one chunk, in bytes.
pub const WHOLE_BYTES_MAX: u64 = 1_024 * 1_024;
/// Smaller zips stay whole, in bytes: cutting them costs more than it saves.
pub const ZIP_BYTES_MIN: u64 = 8 * 1_024;
/// Zips of more members are cut as plain files.
pub const ZIP_MEMBERS_MAX: u64 = 100_000;
/// A member's data below this many bytes stays in one piece with the headers around it: a chunk of its
/// own costs about 100 bytes in manifests, indexes and messages.
pub const ZIP_DATA_BYTES_MIN: u64 = 512;
/// Headers and small members are joined up to about this many bytes.
pub const ZIP_RUN_BYTES_MAX: u64 = 16 * 1_024;

/// The way in which a file was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// One chunk; none if the file is empty.
    Whole,
    /// FastCDC v2020, normalisation level 1, seed 0.
    FastCdc,
    /// At the member boundaries of a zip, long stretches cut again by FastCDC.
    ZipMembers,
}

impl Method {
    /// The identifier and the pinned parameters, as a manifest names them.
    pub fn describe(self) -> Chunker {
        let (id, minimum, average) = match self {
            Self::Whole => ("whole", 0, 0),
            Self::FastCdc => ("fastcdc-v2020", FASTCDC_BYTES_MIN, FASTCDC_BYTES_AVERAGE),
            Self::ZipMembers => ("zip-members", FASTCDC_BYTES_MIN, FASTCDC_BYTES_AVERAGE),
        };
        Chunker {
            id: id.into(),
            minimum,
            average,
            maximum: FASTCDC_BYTES_MAX,
        }
    }
}

/// Cuts the first `length` bytes of `file` and gives `sink` the chunks in file order.
///
/// Blocking; holds about 2 MiB and the cut points of a zip. Fails with `UnexpectedEof` if the file turns
/// out shorter than `length`, or with the sink's error.
pub fn cut<E: From<io::Error>>(
    file: File,
    length: u64,
    mut sink: impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<Method, E> {
    let reader = FileReader::from(file);
    let zip = zip_cut_points(&reader, length);
    let (method, points) = match zip {
        Some(points) => (Method::ZipMembers, points),
        None if length <= WHOLE_BYTES_MAX => (Method::Whole, Vec::new()),
        None => (Method::FastCdc, Vec::new()),
    };
    let mut start = 0;
    for end in points.into_iter().chain([length]) {
        cut_stretch(&reader, start, end, &mut sink)?;
        start = end;
    }
    Ok(method)
}

fn cut_stretch<E: From<io::Error>>(
    reader: &FileReader,
    start: u64,
    end: u64,
    sink: &mut impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut left = end.saturating_sub(start);
    let mut window = RangeReader::new(reader, start..end);
    if left == 0 {
        return Ok(());
    }
    if left <= WHOLE_BYTES_MAX {
        let mut bytes = vec![0; left as usize];
        window.read_exact(&mut bytes)?;
        return sink(bytes);
    }
    let (minimum, average, maximum) = (FASTCDC_BYTES_MIN, FASTCDC_BYTES_AVERAGE, FASTCDC_BYTES_MAX);
    for chunk in StreamCDC::new(window, minimum as usize, average as usize, maximum as usize) {
        let chunk = chunk.map_err(io::Error::from)?;
        left = left.saturating_sub(chunk.data.len() as u64);
        sink(chunk.data)?;
    }
    if left == 0 {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }
}

/// The cut points of a zip, ascending, strictly inside the file; `None` if the file is not a zip, is too
/// small, or says of itself what cannot be: then it is cut as any other file.
fn zip_cut_points(reader: &FileReader, length: u64) -> Option<Vec<u64>> {
    use rawzip::ReaderAt;
    if length < ZIP_BYTES_MIN {
        return None;
    }
    let mut magic = [0; 4];
    reader.read_exact_at(&mut magic, 0).ok()?;
    if &magic != b"PK\x03\x04" {
        return None;
    }
    let members = zip_members(reader, length)?;
    let directory = members.directory;
    let mut points = Vec::new();
    // Where the current run of headers and small members began.
    let mut run_start = 0;
    let push = |points: &mut Vec<u64>, at: u64| {
        if at > 0 && at < length && points.last().is_none_or(|last| *last < at) {
            points.push(at);
        }
    };
    for member in &members.ranges {
        if member.header.saturating_sub(run_start) >= ZIP_RUN_BYTES_MAX {
            push(&mut points, member.header);
            run_start = member.header;
        }
        if member.end - member.data >= ZIP_DATA_BYTES_MIN {
            push(&mut points, member.data);
            push(&mut points, member.end);
            run_start = member.end;
        }
    }
    push(&mut points, directory);
    Some(points)
}

struct Members {
    ranges: Vec<Member>,
    directory: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    header: u64,
    data: u64,
    end: u64,
}

/// The members in file order, checked: none overlaps another or the central directory.
fn zip_members(reader: &FileReader, length: u64) -> Option<Members> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::with_max_search_space(64 * 1_024)
        .locate_in_reader(reader, &mut buffer, length)
        .ok()?;
    if archive.entries_hint() > ZIP_MEMBERS_MAX {
        return None;
    }
    let directory = archive.directory_offset();
    let mut ranges = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().ok()? {
        if ranges.len() as u64 >= ZIP_MEMBERS_MAX {
            return None;
        }
        let header = entry.local_header_offset();
        let (data, end) = archive.get_entry(entry.wayfinder()).ok()?.compressed_data_range();
        ranges.push(Member { header, data, end });
    }
    ranges.sort();
    let mut previous = 0;
    for member in &ranges {
        if member.header < previous || member.data < member.header || member.end < member.data {
            return None;
        }
        previous = member.end;
    }
    if ranges.is_empty() || previous > directory || directory >= length {
        return None;
    }
    Some(Members { ranges, directory })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;
    use crate::roundtrip::{noise, zip};

    fn cut_bytes(bytes: &[u8]) -> (Method, Vec<Vec<u8>>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let mut chunks = Vec::new();
        let method = cut::<io::Error>(file, bytes.len() as u64, |chunk| {
            chunks.push(chunk);
            Ok(())
        })
        .unwrap();
        assert_eq!(chunks.concat(), bytes, "the chunks are the file");
        assert!(
            chunks
                .iter()
                .all(|c| !c.is_empty() && c.len() <= FASTCDC_BYTES_MAX as usize)
        );
        (method, chunks)
    }

    #[test]
    fn small_files_stay_whole_and_empty_ones_have_no_chunk() {
        assert_eq!(cut_bytes(b""), (Method::Whole, vec![]));
        assert_eq!(cut_bytes(b"PK\x03\x04").0, Method::Whole);
        assert_eq!(cut_bytes(&noise(1, 1 << 20)).1.len(), 1);
    }

    #[test]
    fn an_insertion_moves_few_chunks() {
        let before = noise(2, 8 << 20);
        let mut after = before.clone();
        after.splice(3_000_000..3_000_000, *b"inserted");
        let (method, first) = cut_bytes(&before);
        let (_, second) = cut_bytes(&after);
        assert_eq!(method, Method::FastCdc);
        assert!(first.len() > 8);
        let moved = second.iter().filter(|c| !first.contains(c)).count();
        assert!((1..=3).contains(&moved), "{moved} chunks moved");
    }

    #[test]
    fn a_zip_is_cut_at_its_members() {
        let members: Vec<_> = (0..20).map(|i| (format!("m{i}"), noise(i, 40_000))).collect();
        let (method, chunks) = cut_bytes(&zip(&members, 0));
        assert_eq!(method, Method::ZipMembers);
        for (name, data) in &members {
            assert!(chunks.contains(data), "{name} is a chunk of its own");
        }
    }

    #[test]
    fn thousands_of_small_members_do_not_make_thousands_of_chunks() {
        let members: Vec<_> = (0..2_000).map(|i| (format!("m{i}"), noise(i, 100))).collect();
        let (method, chunks) = cut_bytes(&zip(&members, 0));
        assert_eq!(method, Method::ZipMembers);
        assert!(chunks.len() < 50, "{} chunks", chunks.len());
    }

    #[test]
    fn a_zip_that_lies_is_cut_as_any_other_file() {
        let members: Vec<_> = (0..4).map(|i| (format!("m{i}"), noise(i, 40_000))).collect();
        let good = zip(&members, 0);
        assert_eq!(cut_bytes(&good[..good.len() - 30]).0, Method::Whole);
        // Every local header offset points at the first member: they overlap.
        let mut bad = good.clone();
        let directory = bad.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let mut at = directory;
        while bad[at..].starts_with(b"PK\x01\x02") {
            bad[at + 42..at + 46].fill(0);
            at += 46 + 2;
        }
        assert_eq!(cut_bytes(&bad).0, Method::Whole);
    }
}
