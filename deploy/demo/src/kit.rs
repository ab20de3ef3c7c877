//! An invented training kit: a folder of pages, scripts, pictures and lessons, and a zip of the kind that
//! learning platforms exchange (SCORM). The same seed gives the same bytes; version 1.1.0 changes a few pages and
//! one member of the zip.

use crate::random::Random;
use anyhow::{Context as _, Result};
use rawzip::ZipArchiveWriter;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The kit's identifier.
pub(crate) const KIT: &str = "KIT-FSE-GEN";
/// The version published first.
pub(crate) const FIRST: &str = "1.0.0";
/// The version that follows.
pub(crate) const SECOND: &str = "1.1.0";

const MODULES: usize = 8;
const PAGES: usize = 40;
const SCRIPTS: usize = 12;
const PICTURES: usize = 12;
const VIDEO_BYTES: usize = 4_600_000;
const ZIP_LESSONS: usize = 8;
const ZIP_LESSON_BYTES: usize = 1_700_000;
const ZIP_PAGES: usize = 60;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The folder with the files.
    pub(crate) folder: PathBuf,
    /// The descriptor beside it.
    pub(crate) descriptor: PathBuf,
    /// Number of files.
    pub(crate) files: usize,
    /// Their length together.
    pub(crate) bytes: u64,
}

/// Writes a version of the kit below `kits`: the folder `<version>` and the descriptor `<version>.yaml`.
pub(crate) fn write(kits: &Path, version: &str, seed: u64) -> Result<Written> {
    let folder = kits.join(version);
    let descriptor = kits.join(format!("{version}.yaml"));
    let text = format!(
        "# Inventato dalla dimostrazione.\nid: {KIT}\nversion: \"{version}\"\n\
         title: {{ it: \"FSE 2.0: formazione generale, kit di prova\", en: \"FSE 2.0: general training, sample kit\" }}\n\
         syllabus: SYL-FSE-GEN\nsyllabus_version: \"1.0.0\"\n"
    );
    fs::create_dir_all(&folder)?;
    fs::write(&descriptor, text)?;
    let mut written = Written {
        folder,
        descriptor,
        files: 0,
        bytes: 0,
    };
    for module in 1..=MODULES {
        for page in 1..=PAGES {
            let path = format!("modulo-{module}/pagina-{page:02}.html");
            written.file(&path, &html(&path, version, seed))?;
        }
        for script in 1..=SCRIPTS {
            let path = format!("modulo-{module}/risorse/quiz-{script:02}.js");
            written.file(&path, &script_text(&path, seed))?;
        }
        for picture in 1..=PICTURES {
            let path = format!("modulo-{module}/figure/figura-{picture:02}.png");
            let mut random = Random::new(seed, &path);
            let length = 20_000 + random.below(40_000);
            written.file(
                &path,
                &[b"\x89PNG\r\n\x1a\n".as_slice(), &random.bytes(length)].concat(),
            )?;
        }
        let path = format!("modulo-{module}/lezione.mp4");
        written.file(&path, &video(&path, VIDEO_BYTES, FIRST, seed))?;
    }
    written.file("scorm/fse-generale.zip", &zip(version, seed)?)?;
    Ok(written)
}

impl Written {
    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        self.files += 1;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// The version that last changed a file: most of 1.1.0 is 1.0.0.
fn changed_in<'v>(path: &str, version: &'v str) -> &'v str {
    const CHANGED: [&str; 4] = [
        "modulo-2/pagina-01.html",
        "modulo-2/pagina-02.html",
        "modulo-5/pagina-17.html",
        "lezioni/lezione-3.mp4",
    ];
    if CHANGED.contains(&path) { version } else { FIRST }
}

fn html(path: &str, version: &str, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "fascicolo",
        "sanitario",
        "elettronico",
        "documento",
        "referto",
        "consenso",
        "cittadino",
        "medico",
        "alimentazione",
        "firma",
        "formato",
        "azienda",
        "consultazione",
        "servizio",
        "privacy",
        "regione",
        "profilo",
        "sintetico",
        "prescrizione",
        "lettera",
        "dimissione",
        "laboratorio",
        "oscuramento",
        "delega",
    ];
    let since = changed_in(path, version);
    let mut random = Random::new(seed, &format!("{path} {since}"));
    let mut text = format!(
        "<!doctype html>\n<html lang=\"it\">\n<head><meta charset=\"utf-8\"><title>{path}</title></head>\n<body>\n\
         <h1>{path}</h1>\n<p>Contenuto inventato, versione {since}.</p>\n"
    );
    for _ in 0..12 + random.below(12) {
        text.push_str("<p>");
        for _ in 0..30 {
            text.push_str(WORDS[random.below(WORDS.len())]);
            text.push(' ');
        }
        text.push_str("</p>\n");
    }
    text.push_str("</body>\n</html>\n");
    text.into_bytes()
}

fn script_text(path: &str, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed, path);
    let mut text = format!("// {path}: quiz inventato\nexport const domande = [\n");
    for number in 0..20 + random.below(40) {
        text.push_str(&format!(
            "  {{ id: {number}, risposta: {}, peso: {} }},\n",
            random.below(4),
            random.below(10)
        ));
    }
    text.push_str("];\n");
    text.into_bytes()
}

/// Bytes with the beginning of an MP4 file that do not compress, as a film does not.
fn video(path: &str, length: usize, version: &str, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed, &format!("{path} {}", changed_in(path, version)));
    [
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".as_slice(),
        &random.bytes(length),
    ]
    .concat()
}

fn zip(version: &str, seed: u64) -> Result<Vec<u8>> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    let mut members = vec![("imsmanifest.xml".to_owned(), manifest_xml())];
    for page in 1..=ZIP_PAGES {
        let path = format!("contenuti/pagina-{page:02}.html");
        let bytes = html(&path, FIRST, seed);
        members.push((path, bytes));
    }
    for lesson in 1..=ZIP_LESSONS {
        let path = format!("lezioni/lezione-{lesson}.mp4");
        let bytes = video(&path, ZIP_LESSON_BYTES, version, seed);
        members.push((path, bytes));
    }
    for (path, bytes) in members {
        let (mut entry, config) = archive.new_file(&path).start()?;
        let mut writer = config.wrap(&mut entry);
        writer.write_all(&bytes)?;
        let (_, descriptor) = writer.finish()?;
        entry.finish(descriptor)?;
    }
    Ok(archive.finish()?)
}

fn manifest_xml() -> Vec<u8> {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <manifest identifier=\"FSE-GENERALE\" version=\"1.2\" xmlns=\"http://www.imsproject.org/xsd/imscp_rootv1p1p2\">\n<resources>\n",
    );
    for page in 1..=ZIP_PAGES {
        text.push_str(&format!("<resource identifier=\"R{page}\" type=\"webcontent\" href=\"contenuti/pagina-{page:02}.html\"/>\n"));
    }
    text.push_str("</resources>\n</manifest>\n");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn tree(folder: &Path, root: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                tree(&path, root, found);
            } else {
                found.insert(
                    path.strip_prefix(root).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }

    #[test]
    fn it_is_large_and_the_second_version_changes_little() {
        let dir = tempfile::tempdir().unwrap();
        let trees: Vec<_> = [FIRST, SECOND]
            .map(|version| {
                let written = write(dir.path(), version, 1).unwrap();
                assert!(written.files >= 500 && written.bytes >= 50 << 20, "{written:?}");
                let text = fs::read_to_string(&written.descriptor).unwrap();
                raccordo_model::kit::KitDescriptor::parse_yaml(&text, "kit.yaml").unwrap();
                let mut found = BTreeMap::new();
                tree(&written.folder, &written.folder, &mut found);
                found
            })
            .into();
        let differ: Vec<_> = trees[0]
            .iter()
            .filter(|(path, bytes)| trees[1].get(*path) != Some(*bytes))
            .collect();
        assert_eq!((trees[0].len(), differ.len()), (trees[1].len(), 4));
        let zip = rawzip::ZipArchive::from_slice(&trees[0][Path::new("scorm/fse-generale.zip")][..]).unwrap();
        assert_eq!(zip.entries_hint(), 1 + (ZIP_PAGES + ZIP_LESSONS) as u64);
    }
}
