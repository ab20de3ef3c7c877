//! Entries: headers, leaves, references, and how bodies are packed.

use crate::{
    error::{self, DecodeError, at_most, exactly, parse, required},
    wire,
};
use prost::Message;
use raccordo_model::{
    digest::{BodyHash, LeafHash, ManifestDigest},
    entry::{
        ACTORS_MAX, AccountId, Actor, BODY_BYTES_MAX, BODY_UNPACKED_BYTES_MAX, Body, BodyEncoding,
        CONTENT_MAX, DEPENDS_ON_MAX, Entry, EntryRef, HEADER_BYTES_MAX, Header, SEEN_MAX, Subject,
    },
    kind::Criticality,
    node::{NodeId, RegionCode},
    scope::Scope,
    timestamp::Timestamp,
};
use std::{collections::BTreeSet, io::Read};

const HEADER: &str = "EntryHeader";
const LEAF: &str = "Leaf";
/// Bodies up to this size, in bytes, are not worth packing.
const PACK_FROM_BYTES: usize = 1_024;
/// Largest window that an unpacker allocates, as a power of two: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// A leaf as a peer offers it: parsed and within bounds, its hashes not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedLeaf {
    /// The header as it came; this is what the leaf hash covers.
    pub header_bytes: Vec<u8>,
    /// The header, parsed.
    pub header: Header,
    /// Commitment to the body.
    pub body_hash: BodyHash,
    /// The body, if the peer thinks that we are entitled to it.
    pub body: Option<Body>,
    /// The entry of the same ledger that says that the body was erased.
    pub erased_by: Option<u64>,
}

/// The bytes of a header, to be hashed and kept. Only the writer of an entry encodes it, once.
pub fn encode_header(header: &Header) -> Vec<u8> {
    let (audience, regions) = match &header.scope {
        Scope::Public => (wire::Audience::Public, Vec::new()),
        Scope::Regions(codes) => (
            wire::Audience::Regions,
            codes.iter().map(ToString::to_string).collect(),
        ),
        Scope::Centre => (wire::Audience::Centre, Vec::new()),
    };
    wire::EntryHeader {
        ledger: header.ledger.to_string(),
        kind: header.kind.to_string(),
        subject: header.subject.to_string(),
        depends_on: header.depends_on.iter().map(ToString::to_string).collect(),
        seen: header
            .seen
            .iter()
            .map(|(node, size)| wire::SeenLedger {
                node: node.to_string(),
                size: *size,
            })
            .collect(),
        scope: Some(wire::Scope {
            audience: audience.into(),
            regions,
        }),
        actors: header
            .actors
            .iter()
            .map(|actor| wire::Actor {
                account: actor.account.0.to_vec(),
                institution: actor.institution.clone(),
            })
            .collect(),
        recorded_at_us: header.recorded_at.0,
        supersedes: header.supersedes,
        minimum_reader: header.minimum_reader,
        criticality: match header.criticality {
            Criticality::Optional => wire::Criticality::Optional.into(),
            Criticality::Critical => wire::Criticality::Critical.into(),
        },
        not_before_us: header.not_before.map(|t| t.0),
        content: header.content.iter().map(|d| d.0.to_vec()).collect(),
        body_encoding: match header.body_encoding {
            BodyEncoding::Identity => wire::BodyEncoding::Identity.into(),
            BodyEncoding::Zstd => wire::BodyEncoding::Zstd.into(),
        },
    }
    .encode_to_vec()
}

/// The header in `bytes`, every field within its bounds. Fields of a later version are passed over:
/// `minimum_reader` and `criticality` say whether that is right.
pub fn decode_header(bytes: &[u8]) -> Result<Header, DecodeError> {
    let header: wire::EntryHeader = error::decode(HEADER, bytes, HEADER_BYTES_MAX)?;
    at_most(
        HEADER,
        "depends_on",
        "subjects",
        header.depends_on.len(),
        DEPENDS_ON_MAX,
    )?;
    at_most(HEADER, "seen", "ledgers", header.seen.len(), SEEN_MAX)?;
    at_most(HEADER, "content", "manifests", header.content.len(), CONTENT_MAX)?;
    let wrong = |field: &str, problem: &str| DecodeError::new(HEADER, field, problem);
    Ok(Header {
        ledger: parse(HEADER, "ledger", &header.ledger)?,
        kind: parse(HEADER, "kind", &header.kind)?,
        subject: parse(HEADER, "subject", &header.subject)?,
        depends_on: header
            .depends_on
            .iter()
            .map(|s| parse::<Subject>(HEADER, "depends_on", s))
            .collect::<Result<_, _>>()?,
        seen: seen(&header.seen)?,
        scope: scope(required(HEADER, "scope", header.scope)?)?,
        actors: actors(header.actors)?,
        recorded_at: Timestamp(header.recorded_at_us),
        supersedes: header.supersedes,
        minimum_reader: header.minimum_reader,
        criticality: match wire::Criticality::try_from(header.criticality) {
            Ok(wire::Criticality::Optional) => Criticality::Optional,
            Ok(wire::Criticality::Critical) => Criticality::Critical,
            _ => return Err(wrong("criticality", "unspecified or unknown")),
        },
        not_before: header.not_before_us.map(Timestamp),
        content: header
            .content
            .iter()
            .map(|d| exactly(HEADER, "content", d).map(ManifestDigest))
            .collect::<Result<_, _>>()?,
        body_encoding: match wire::BodyEncoding::try_from(header.body_encoding) {
            Ok(wire::BodyEncoding::Identity) => BodyEncoding::Identity,
            Ok(wire::BodyEncoding::Zstd) => BodyEncoding::Zstd,
            _ => return Err(wrong("body_encoding", "unspecified or unknown")),
        },
    })
}

fn seen(ledgers: &[wire::SeenLedger]) -> Result<Vec<(NodeId, u64)>, DecodeError> {
    let mut nodes = BTreeSet::new();
    let mut seen = Vec::with_capacity(ledgers.len());
    for ledger in ledgers {
        let node: NodeId = parse(HEADER, "seen.node", &ledger.node)?;
        if !nodes.insert(node) {
            let problem = format!("names the ledger of {node} twice");
            return Err(DecodeError::new(HEADER, "seen", problem));
        }
        seen.push((node, ledger.size));
    }
    Ok(seen)
}

fn scope(scope: wire::Scope) -> Result<Scope, DecodeError> {
    let wrong = |problem: &str| Err(DecodeError::new(HEADER, "scope", problem));
    let regions: Vec<RegionCode> = scope
        .regions
        .iter()
        .map(|r| parse(HEADER, "scope.regions", r))
        .collect::<Result<_, _>>()?;
    match wire::Audience::try_from(scope.audience) {
        Ok(wire::Audience::Regions) if regions.is_empty() => {
            wrong("no region is listed; the centre alone is AUDIENCE_CENTRE")
        }
        Ok(wire::Audience::Regions) if regions.windows(2).any(|p| p[0] >= p[1]) => {
            wrong("regions are not sorted without repetition")
        }
        Ok(wire::Audience::Regions) => Ok(Scope::Regions(regions.into_iter().collect())),
        Ok(wire::Audience::Public | wire::Audience::Centre) if !regions.is_empty() => {
            wrong("lists regions without AUDIENCE_REGIONS")
        }
        Ok(wire::Audience::Public) => Ok(Scope::Public),
        Ok(wire::Audience::Centre) => Ok(Scope::Centre),
        _ => wrong("audience is unspecified or unknown"),
    }
}

fn actors(actors: Vec<wire::Actor>) -> Result<Vec<Actor>, DecodeError> {
    if actors.is_empty() {
        return Err(DecodeError::new(HEADER, "actors", "nobody acted"));
    }
    at_most(HEADER, "actors", "actors", actors.len(), ACTORS_MAX)?;
    actors
        .into_iter()
        .map(|actor| {
            let code = actor.institution;
            let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
            if !(2..=20).contains(&code.len()) || !code.bytes().all(allowed) {
                return Err(DecodeError::new(
                    HEADER,
                    "actors.institution",
                    "not a code of 2 to 20 upper-case letters and digits",
                ));
            }
            Ok(Actor {
                account: AccountId(exactly(HEADER, "actors.account", &actor.account)?),
                institution: code,
            })
        })
        .collect()
}

/// The entry as it travels: the header's own bytes, and the body if `include_body` and it is here.
pub fn leaf_from_entry(entry: &Entry, include_body: bool) -> wire::Leaf {
    wire::Leaf {
        header: entry.header_bytes.clone(),
        body_hash: entry.body_hash.0.to_vec(),
        body: entry
            .body
            .as_ref()
            .filter(|_| include_body)
            .map(|body| wire::Body {
                salt: body.salt.to_vec(),
                stored: body.stored.clone(),
            }),
        erased_by: None,
    }
}

/// The leaf that a peer sent, parsed and within bounds. Hashes are for the ledger to verify.
pub fn offered(leaf: wire::Leaf) -> Result<OfferedLeaf, DecodeError> {
    let header = decode_header(&leaf.header).map_err(|e| e.within(LEAF, "header"))?;
    let body_hash = BodyHash(exactly(LEAF, "body_hash", &leaf.body_hash)?);
    let body = leaf
        .body
        .map(|body| {
            at_most(LEAF, "body.stored", "bytes", body.stored.len(), BODY_BYTES_MAX)?;
            Ok(Body {
                salt: exactly(LEAF, "body.salt", &body.salt)?,
                stored: body.stored,
            })
        })
        .transpose()?;
    if body.is_some() && leaf.erased_by.is_some() {
        let problem = "set although the body is there";
        return Err(DecodeError::new(LEAF, "erased_by", problem));
    }
    Ok(OfferedLeaf {
        header_bytes: leaf.header,
        header,
        body_hash,
        body,
        erased_by: leaf.erased_by,
    })
}

/// A reference as it travels.
pub fn entry_ref_to_wire(reference: &EntryRef) -> wire::EntryRef {
    wire::EntryRef {
        node: reference.node.to_string(),
        index: reference.index,
        leaf_hash: reference.leaf_hash.0.to_vec(),
    }
}

/// The reference that a message holds.
pub fn entry_ref_from_wire(reference: &wire::EntryRef) -> Result<EntryRef, DecodeError> {
    const MESSAGE: &str = "EntryRef";
    Ok(EntryRef {
        node: parse(MESSAGE, "node", &reference.node)?,
        index: reference.index,
        leaf_hash: LeafHash(exactly(MESSAGE, "leaf_hash", &reference.leaf_hash)?),
    })
}

/// A body as it will be stored: one zstd frame if that makes it at least a tenth smaller.
pub fn pack_body(bytes: Vec<u8>) -> (BodyEncoding, Vec<u8>) {
    if bytes.len() > PACK_FROM_BYTES
        && let Ok(packed) = zstd::bulk::compress(&bytes, 3)
        && packed.len() <= bytes.len() / 10 * 9
    {
        return (BodyEncoding::Zstd, packed);
    }
    (BodyEncoding::Identity, bytes)
}

/// The unpacked bytes of a stored body, at most 4 MiB whatever it claims.
pub fn unpack_body(header: &Header, stored: &[u8]) -> Result<Vec<u8>, DecodeError> {
    const MESSAGE: &str = "Body";
    at_most(MESSAGE, "stored", "bytes", stored.len(), BODY_BYTES_MAX)?;
    if header.body_encoding == BodyEncoding::Identity {
        return Ok(stored.to_vec());
    }
    let wrong = |problem: String| DecodeError::new(MESSAGE, "stored", problem);
    let broken = |e: std::io::Error| wrong(format!("not one zstd frame: {e}"));
    let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)
        .map_err(broken)?
        .single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
    let mut bytes = Vec::new();
    (&mut decoder)
        .take(BODY_UNPACKED_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(broken)?;
    if bytes.len() > BODY_UNPACKED_BYTES_MAX {
        return Err(wrong(format!(
            "unpacks to more than {BODY_UNPACKED_BYTES_MAX} bytes"
        )));
    }
    if !decoder.finish().is_empty() {
        return Err(wrong("bytes follow the zstd frame".into()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use raccordo_model::kind::{Kind, KnownKind};

    fn header() -> Header {
        Header {
            ledger: "raccordo/fse-prova/090".parse().unwrap(),
            kind: Kind::Known(KnownKind::PoSubmitted),
            subject: "po/090/1".parse().unwrap(),
            depends_on: vec!["code_lists/1".parse().unwrap()],
            seen: vec![(NodeId::Hub, 7)],
            scope: Scope::region("090".parse().unwrap()),
            actors: vec![Actor {
                account: AccountId([7; 16]),
                institution: "RT".into(),
            }],
            recorded_at: Timestamp(1_700_000_000_000_000),
            supersedes: Some(0),
            minimum_reader: 1,
            criticality: Criticality::Critical,
            not_before: Some(Timestamp(-1)),
            content: vec![ManifestDigest([9; 32])],
            body_encoding: BodyEncoding::Zstd,
        }
    }

    fn refused(change: impl FnOnce(&mut wire::EntryHeader)) -> String {
        let mut header = wire::EntryHeader::decode(encode_header(&header()).as_slice()).unwrap();
        change(&mut header);
        decode_header(&header.encode_to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn headers_survive_the_wire() {
        let mut header = header();
        assert_eq!(decode_header(&encode_header(&header)).as_ref(), Ok(&header));
        header.scope = Scope::Centre;
        header.kind = "later.kind".parse().unwrap();
        (header.supersedes, header.not_before) = (None, None);
        (header.depends_on, header.seen) = (Vec::new(), Vec::new());
        assert_eq!(decode_header(&encode_header(&header)), Ok(header));
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (text, field) in [
            (refused(|h| h.ledger = "x".into()), "ledger"),
            (refused(|h| h.kind = "PO".into()), "kind"),
            (refused(|h| h.subject = "a b".into()), "subject"),
            (
                refused(|h| h.depends_on = vec!["code/1".into(); 17]),
                "depends_on",
            ),
            (refused(|h| h.seen.push(h.seen[0].clone())), "seen"),
            (refused(|h| h.scope = None), "scope"),
            (refused(|h| h.scope.as_mut().unwrap().audience = 0), "scope"),
            (refused(|h| h.scope.as_mut().unwrap().audience = 1), "scope"),
            (refused(|h| h.scope.as_mut().unwrap().regions.clear()), "scope"),
            (
                refused(|h| h.scope.as_mut().unwrap().regions.insert(0, "140".into())),
                "scope",
            ),
            (refused(|h| h.actors.clear()), "actors"),
            (refused(|h| h.actors = vec![h.actors[0].clone(); 5]), "actors"),
            (refused(|h| h.actors[0].account.push(0)), "actors.account"),
            (
                refused(|h| h.actors[0].institution = "Rossi Mario".into()),
                "actors.institution",
            ),
            (refused(|h| h.criticality = 0), "criticality"),
            (refused(|h| h.criticality = 9), "criticality"),
            (refused(|h| h.content[0].truncate(31)), "content"),
            (refused(|h| h.content = vec![vec![0; 32]; 9]), "content"),
            (refused(|h| h.body_encoding = 0), "body_encoding"),
            (refused(|h| h.ledger = "x".repeat(5_000)), "*"),
        ] {
            assert!(
                text.starts_with(&format!("EntryHeader.{field}: ")),
                "{field}: {text}"
            );
        }
    }

    #[test]
    fn a_leaf_is_parsed_within_bounds() {
        let leaf = || wire::Leaf {
            header: encode_header(&header()),
            body_hash: vec![1; 32],
            body: Some(wire::Body {
                salt: vec![2; 32],
                stored: vec![3; BODY_BYTES_MAX],
            }),
            erased_by: None,
        };
        let parsed = offered(leaf()).unwrap();
        assert_eq!(parsed.header, header());
        assert_eq!(parsed.header_bytes, encode_header(&header()));
        let wrong = |change: fn(&mut wire::Leaf)| {
            let mut leaf = leaf();
            change(&mut leaf);
            offered(leaf).unwrap_err().to_string()
        };
        assert!(wrong(|l| l.erased_by = Some(1)).starts_with("Leaf.erased_by: "));
        assert!(wrong(|l| l.body_hash.clear()).starts_with("Leaf.body_hash: "));
        assert!(wrong(|l| l.body.as_mut().unwrap().salt.clear()).starts_with("Leaf.body.salt: "));
        assert!(wrong(|l| l.body.as_mut().unwrap().stored.push(0)).starts_with("Leaf.body.stored"));
        assert!(wrong(|l| l.header.clear()).starts_with("Leaf.header.ledger: "));
    }

    #[test]
    fn a_body_is_packed_where_that_pays_and_bombs_are_refused() {
        let packed = |bytes: Vec<u8>| pack_body(bytes).0;
        assert_eq!(packed(vec![0; 1_024]), BodyEncoding::Identity);
        assert_eq!(packed(vec![0; 1_025]), BodyEncoding::Zstd);
        let mut header = header();
        let mut unpack = |encoding, stored: &[u8]| {
            header.body_encoding = encoding;
            unpack_body(&header, stored)
        };
        let bytes = b"a plan, a plan, ".repeat(1_000);
        let (encoding, stored) = pack_body(bytes.clone());
        assert_eq!(unpack(encoding, &stored), Ok(bytes));
        let most = vec![0; BODY_UNPACKED_BYTES_MAX];
        let (encoding, stored) = pack_body(most.clone());
        assert_eq!(unpack(encoding, &stored), Ok(most));
        let bomb = zstd::bulk::compress(&vec![0; BODY_UNPACKED_BYTES_MAX + 1], 3).unwrap();
        assert!(
            unpack(BodyEncoding::Zstd, &bomb)
                .unwrap_err()
                .problem
                .contains("more than")
        );
        let mut trailing = stored.clone();
        trailing.push(0);
        assert!(unpack(BodyEncoding::Zstd, &trailing).is_err());
        assert!(unpack(BodyEncoding::Zstd, &stored[..stored.len() - 1]).is_err());
        assert!(unpack(BodyEncoding::Zstd, b"plain").is_err());
        assert!(unpack(BodyEncoding::Identity, &vec![0; BODY_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_a_header_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_header(&bytes);
        }

        #[test]
        fn a_changed_header_is_refused_or_still_a_header(at in 0..150usize, to in any::<u8>()) {
            let mut bytes = encode_header(&header());
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(changed) = decode_header(&bytes) {
                prop_assert_eq!(decode_header(&encode_header(&changed)), Ok(changed));
            }
        }

        #[test]
        fn bodies_unpack_to_what_was_packed(bytes in prop::collection::vec(0..4u8, 0..5_000)) {
            let (encoding, stored) = pack_body(bytes.clone());
            let mut header = header();
            header.body_encoding = encoding;
            prop_assert_eq!(unpack_body(&header, &stored), Ok(bytes));
        }
    }
}
