//! Publishing, fetching and installing together: what holds for every tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use raccordo_model::digest::{ChunkDigest, ManifestDigest};
use raccordo_model::manifest::Manifest;
use tempfile::TempDir;

use crate::install::{InstallError, Installer, UNSYNCED_BYTES_MAX};
use crate::{
    FetchPlan, Installation, PackStore, PublishError, chunk_digest, manifest_digest, publish_folder,
};

/// Bytes that do not compress and are the same in every run.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// A zip of stored members, every time stamp `time`.
pub(crate) fn zip(members: &[(String, Vec<u8>)], time: u16) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let mut common = vec![20, 0, 0, 0, 0, 0];
        common.extend(time.to_le_bytes());
        common.extend([0x21, 0x58]);
        common.extend(rawzip::crc32(data).to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((file.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(data);
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((members.len() as u16).to_le_bytes());
    file.extend((members.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

type Tree = BTreeMap<String, Vec<u8>>;

fn write(folder: &Path, tree: &Tree) {
    for (path, bytes) in tree {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn read(folder: &Path) -> Tree {
    let files = crate::tree::list_files(folder).unwrap();
    files
        .into_iter()
        .map(|f| (f.path, fs::read(f.location).unwrap()))
        .collect()
}

/// A published tree, its store, and a place to install it.
struct World {
    folder: TempDir,
    packs: PackStore,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let packs = runtime
            .block_on(PackStore::local(&folder.path().join("packs")))
            .unwrap();
        Self {
            folder,
            packs,
            runtime,
        }
    }

    fn publish(&self, tree: &Tree) -> (ManifestDigest, Manifest) {
        let source = tempfile::tempdir().unwrap();
        write(source.path(), tree);
        let manifest = self
            .runtime
            .block_on(publish_folder(source.path(), &self.packs, &()))
            .unwrap();
        // Any name will do here: encoding is the caller's.
        (manifest_digest(format!("{manifest:?}").as_bytes()), manifest)
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("spoke")
    }

    fn installation(&self) -> Installation {
        Installation::open(&self.root()).unwrap()
    }

    fn chunk(&self, digest: &ChunkDigest) -> Vec<u8> {
        self.runtime
            .block_on(self.packs.get(digest))
            .unwrap()
            .unwrap()
            .unpack()
            .unwrap()
    }

    fn fill(&self, installer: &mut Installer) -> u64 {
        let mut fetched = 0;
        for (digest, length) in installer.missing() {
            installer.accept(digest, &self.chunk(&digest)).unwrap();
            fetched += u64::from(length);
        }
        fetched
    }

    fn install(&self, tree: &Tree) -> (ManifestDigest, Manifest) {
        let (digest, manifest) = self.publish(tree);
        let mut installer = self.installation().begin(digest, manifest.clone()).unwrap();
        self.fill(&mut installer);
        installer.finish().unwrap();
        (digest, manifest)
    }
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![
        Just(0_usize),
        1..2_000_usize,
        900_000..1_200_000_usize,
        2_000_000..4_000_000_usize
    ];
    prop_oneof![
        3 => (0..6_u64, size).prop_map(|(seed, size)| noise(seed, size)),
        1 => (0..6_u8, 0..3_000_000_usize).prop_map(|(byte, size)| vec![byte; size]),
        2 => prop::collection::vec((0..9_u64, 0..90_000_usize), 1..12).prop_map(|members| {
            let members: Vec<_> = members.into_iter().enumerate()
                .map(|(i, (seed, size))| (format!("m{i}"), noise(seed, size))).collect();
            zip(&members, 7)
        }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map("([a-c]/){0,2}f[0-9]{1,2}", content(), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_tree_arrives_bit_for_bit(tree in tree()) {
        let world = World::new();
        let (digest, manifest) = world.install(&tree);
        let installation = world.installation();
        prop_assert_eq!(&read(&installation.version_folder(&digest)), &tree);
        installation.verify(&digest, &manifest).unwrap();
        prop_assert_eq!(manifest.total_bytes(), tree.values().map(|b| b.len() as u64).sum::<u64>());
    }

    /// The `kills` are numbers of chunks after which the installer is dropped as kill -9 would.
    #[test]
    fn a_crash_repeats_at_most_four_mebibytes(
        seeds in prop::collection::vec(0..90_u64, 3..6),
        kills in prop::collection::vec(1..40_usize, 0..5),
        torn in 0..8_usize,
    ) {
        let world = World::new();
        let tree: Tree = seeds.iter().enumerate().map(|(i, s)| (format!("f{i}"), noise(*s, 3_500_000))).collect();
        let (digest, manifest) = world.publish(&tree);
        for kill in kills {
            let mut installer = Installer::begin(&world.root(), digest, manifest.clone()).unwrap();
            for (chunk, _) in installer.missing().into_iter().take(kill) {
                installer.accept(chunk, &world.chunk(&chunk)).unwrap();
            }
            let left: u64 = installer.missing().iter().map(|c| u64::from(c.1)).sum();
            drop(installer);
            // A record that was being written.
            let progress = world.root().join("staging").join(digest.to_string()).join("progress");
            let mut bytes = fs::read(&progress).unwrap();
            bytes.extend(vec![0xAB; torn]);
            fs::write(&progress, bytes).unwrap();
            let installer = Installer::begin(&world.root(), digest, manifest.clone()).unwrap();
            let again: u64 = installer.missing().iter().map(|c| u64::from(c.1)).sum();
            prop_assert!(again - left <= UNSYNCED_BYTES_MAX, "{} bytes again", again - left);
        }
        let mut installer = Installer::begin(&world.root(), digest, manifest).unwrap();
        world.fill(&mut installer);
        let installed = installer.finish().unwrap();
        prop_assert_eq!(&read(&installed.folder), &tree);
    }
}

#[test]
fn a_rebuilt_zip_moves_the_changed_member_only() {
    let world = World::new();
    let mut members: Vec<_> = (0..200)
        .map(|i| (format!("page{i}.html"), noise(i, 40_000)))
        .collect();
    let (_, before) = world.publish(&Tree::from([("corso.zip".into(), zip(&members, 1))]));
    members[100].1 = noise(9_999, 41_000);
    let (_, after) = world.publish(&Tree::from([("corso.zip".into(), zip(&members, 2))]));
    let held: Vec<_> = before.chunks().iter().map(|c| c.digest).collect();
    let source = crate::Source {
        file: Path::new("").into(),
        offset: 0,
    };
    let plan = FetchPlan::new(&after, |digest| held.contains(digest).then(|| source.clone()));
    let percent = plan.fetch_bytes as f64 * 100.0 / after.total_bytes() as f64;
    assert!(percent > 0.5 && percent < 2.0, "{percent} % moved");
}

#[test]
fn a_corrupt_or_foreign_chunk_changes_nothing() {
    let world = World::new();
    let (digest, manifest) = world.publish(&Tree::from([("a".into(), noise(1, 5_000))]));
    let mut installer = Installer::begin(&world.root(), digest, manifest).unwrap();
    let missing = installer.missing();
    let mut bytes = world.chunk(&missing[0].0);
    bytes[17] ^= 1;
    assert!(matches!(
        installer.accept(missing[0].0, &bytes),
        Err(InstallError::Corrupt(_))
    ));
    assert!(matches!(
        installer.accept(missing[0].0, &bytes[..10]),
        Err(InstallError::Corrupt(_))
    ));
    assert!(matches!(
        installer.accept(chunk_digest(b"x"), b"x"),
        Err(InstallError::Foreign(_))
    ));
    assert_eq!(installer.missing(), missing);
    assert!(matches!(installer.finish(), Err(InstallError::Missing(1))));
    let staged = world.root().join(format!("staging/{digest}/files/a"));
    assert!(!staged.exists(), "nothing was written");
    assert!(!world.installation().is_installed(&digest));
}

#[test]
fn damage_in_staging_is_found_and_repaired() {
    let world = World::new();
    let tree = Tree::from([("a".into(), noise(1, 3_000_000)), ("b".into(), noise(2, 10))]);
    let (digest, manifest) = world.publish(&tree);
    let mut installer = Installer::begin(&world.root(), digest, manifest.clone()).unwrap();
    let all = world.fill(&mut installer);
    let staged = world.root().join(format!("staging/{digest}/files/a"));
    let mut bytes = fs::read(&staged).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&staged, bytes).unwrap();
    let error = installer.finish().unwrap_err();
    assert!(error.to_string().contains("`a`"), "{error}");
    drop(installer);
    let mut installer = Installer::begin(&world.root(), digest, manifest).unwrap();
    let again = world.fill(&mut installer);
    assert!(again > 0 && again < all / 2, "{again} of {all} bytes again");
    assert_eq!(read(&installer.finish().unwrap().folder), tree);
}

#[test]
fn what_is_installed_is_linked_or_copied() {
    let world = World::new();
    let old = Tree::from([
        ("same".into(), noise(1, 70_000)),
        ("big".into(), noise(2, 6 << 20)),
    ]);
    let (old_digest, old_manifest) = world.install(&old);
    let mut new = old.clone();
    new.insert("also/same".into(), noise(1, 70_000));
    new.get_mut("big")
        .unwrap()
        .splice(2_000_000..2_000_000, *b"a correction");
    new.insert("new".into(), noise(3, 1_000));
    let (digest, manifest) = world.publish(&new);
    let mut installer = Installer::begin(&world.root(), digest, manifest.clone()).unwrap();
    let reused = installer.reuse(&old_digest, &old_manifest).unwrap();
    assert_eq!((reused.linked_files, reused.linked_bytes), (2, 140_000));
    assert!(reused.copied_bytes > 4 << 20, "{reused:?}");
    drop(installer);

    // A crash later, everything is still known.
    let mut installer = Installer::begin(&world.root(), digest, manifest.clone()).unwrap();
    let fetched = world.fill(&mut installer);
    assert!(fetched < 2 << 20, "{fetched} bytes fetched");
    let installed = installer.finish().unwrap();
    assert_eq!(read(&installed.folder), new);
    let installation = world.installation();
    assert_eq!(read(&installation.version_folder(&old_digest)), old);
    installation.remove(&old_digest).unwrap();
    assert_eq!(installation.open_versions().unwrap(), [digest]);
    installation.verify(&digest, &manifest).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_is_never_written_through() {
    let world = World::new();
    let tree = Tree::from([("same".into(), noise(1, 70_000))]);
    let (old_digest, old_manifest) = world.install(&tree);
    let new = Tree::from([("same".into(), noise(1, 70_000)), ("x".into(), noise(2, 9))]);
    let (digest, manifest) = world.publish(&new);
    let mut installer = Installer::begin(&world.root(), digest, manifest.clone()).unwrap();
    assert_eq!(
        installer.reuse(&old_digest, &old_manifest).unwrap().linked_files,
        1
    );
    drop(installer);
    // The crash came before the journal knew of the link.
    fs::write(world.root().join(format!("staging/{digest}/progress")), "").unwrap();
    // And the installed file is damaged: were the link written through, it would be mended.
    let installed = world.root().join(format!("versions/{old_digest}/same"));
    crate::versions::make_writable(&installed, false).unwrap();
    fs::write(&installed, noise(7, 70_000)).unwrap();
    let mut installer = Installer::begin(&world.root(), digest, manifest).unwrap();
    assert_eq!(
        installer.reuse(&old_digest, &old_manifest).unwrap(),
        crate::Reused::default()
    );
    world.fill(&mut installer);
    assert_eq!(read(&installer.finish().unwrap().folder), new);
    assert_eq!(fs::read(&installed).unwrap(), noise(7, 70_000));
    let error = world
        .installation()
        .verify(&old_digest, &old_manifest)
        .unwrap_err();
    assert!(error.to_string().contains("`same`"), "{error}");
}

#[test]
fn export_copies_to_an_empty_place_only() {
    let world = World::new();
    let tree = Tree::from([("a/b".into(), noise(1, 5_000)), ("c".into(), vec![])]);
    let (digest, _) = world.install(&tree);
    let installation = world.installation();
    let to = world.folder.path().join("out/kit");
    installation.export(&digest, &to).unwrap();
    assert_eq!(read(&to), tree);
    fs::write(to.join("a/b"), "mine now").unwrap();
    assert!(matches!(
        installation.export(&digest, &to),
        Err(InstallError::Occupied(_))
    ));
    assert_eq!(fs::read(to.join("a/b")).unwrap(), b"mine now");
    assert_eq!(read(&installation.version_folder(&digest)), tree);
    let empty = world.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    installation.export(&digest, &empty).unwrap();
    assert_eq!(read(&empty), tree);
    assert_eq!(
        fs::read_dir(world.folder.path().join("out")).unwrap().count(),
        1,
        "no part is left"
    );
}

#[test]
fn publishing_twice_stores_once_and_empty_folders_are_refused() {
    let world = World::new();
    let tree = Tree::from([
        ("a".into(), noise(1, 3_000_000)),
        ("b".into(), noise(1, 3_000_000)),
    ]);
    let (first, _) = world.publish(&tree);
    let count = world.packs.chunk_count();
    let (second, manifest) = world.publish(&tree);
    assert_eq!((first, count), (second, world.packs.chunk_count()));
    assert_eq!(manifest.chunks().len(), count);
    let empty = tempfile::tempdir().unwrap();
    let error = world
        .runtime
        .block_on(publish_folder(empty.path(), &world.packs, &()))
        .unwrap_err();
    assert!(matches!(error, PublishError::Empty(_)));
}

#[test]
fn discarding_gives_up_only_the_staging() {
    let world = World::new();
    let (digest, manifest) = world.publish(&Tree::from([("a".into(), noise(1, 10))]));
    let mut installer = Installer::begin(&world.root(), digest, manifest.clone()).unwrap();
    world.fill(&mut installer);
    drop(installer);
    let installation = world.installation();
    assert_eq!(installation.staged_versions().unwrap(), [digest]);
    installation.discard_staging(&digest).unwrap();
    installation.discard_staging(&digest).unwrap();
    assert_eq!(installation.staged_versions().unwrap(), []);
    let installer = installation.begin(digest, manifest).unwrap();
    assert_eq!(installer.missing().len(), 1);
}

/// Handlers of requests run on any thread: what they await must be `Send`.
#[test]
fn publishing_can_be_spawned() {
    fn spawnable<T: Send>(_: &T) {}
    let world = World::new();
    let publishing = publish_folder(world.folder.path(), &world.packs, &());
    spawnable(&publishing);
    let getting = world.packs.get(&ChunkDigest([0; 32]));
    spawnable(&getting);
    let mut writer = world.packs.writer();
    spawnable(&writer.finish());
}

/// Prints its figures: `cargo test -p raccordo-content kit_of_256 -- --ignored --nocapture`.
#[cfg(target_os = "linux")]
#[test]
fn a_path_out_of_the_folder_never_becomes_a_manifest() {
    let world = World::new();
    let (_, good) = world.publish(&Tree::from([("a".into(), noise(1, 10))]));
    for path in ["../a", "/a", "b/../../a", "b\\a", "C:a", "."] {
        let mut files = good.files().to_vec();
        files[0].path = path.into();
        let error = Manifest::new(good.chunkers().to_vec(), files, good.chunks().to_vec()).unwrap_err();
        assert!(error.to_string().contains("refused"), "{path}: {error}");
    }
}
