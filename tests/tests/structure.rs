//! The walls of the workspace: which crate may see which, what every crate inherits, and that no source
//! file lies about unused. `design.md` draws the directions; this test is what keeps them.

use anyhow::{Context, Result, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// What each crate may depend on, by normal and build dependencies. Tests and the demo are free, and
/// nobody depends on them.
const MAY_SEE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("proto", &["model"]),
    ("ledger", &["model"]),
    ("content", &["model"]),
    ("store", &["model"]),
    ("node", &["ledger", "content", "store", "proto", "model"]),
    ("cli", &["ledger", "proto", "model"]),
    ("console", &["model"]),
    ("gdl", &["cli", "proto", "ledger", "model"]),
    (
        "hub",
        &[
            "console", "cli", "node", "ledger", "content", "store", "proto", "model",
        ],
    ),
    (
        "spoke",
        &[
            "console", "cli", "node", "ledger", "content", "store", "proto", "model",
        ],
    ),
];

/// Crates that may see everything, as nobody sees them.
const FREE: &[&str] = &["demo", "tests"];

/// Outside crates that would break a wall without any of our crates' help: the nouns and the ledger do
/// no IO, `proto` and `content` know no database, the store knows no wire, the reader no store.
const MUST_NOT_USE: &[(&str, &[&str])] = &[
    (
        "model",
        &["tokio", "sqlx", "prost", "tonic", "hyper", "axum", "tracing"],
    ),
    (
        "ledger",
        &["tokio", "sqlx", "prost", "tonic", "hyper", "axum", "getrandom"],
    ),
    ("proto", &["sqlx", "object_store", "ed25519-dalek"]),
    ("content", &["sqlx", "prost", "tonic", "hyper"]),
    ("store", &["prost", "tonic", "hyper", "axum", "object_store"]),
    ("cli", &["sqlx", "object_store"]),
    ("gdl", &["sqlx", "object_store"]),
    ("console", &["sqlx", "prost", "tonic", "object_store"]),
];

/// What every crate takes from the workspace.
const INHERITED: &[&str] = &[
    "version",
    "edition",
    "rust-version",
    "license",
    "repository",
    "publish",
];

/// Sections whose dependencies are built into what is shipped.
const SHIPPED: &[&str] = &["dependencies", "build-dependencies"];

#[test]
fn dependencies_point_one_way() {
    let crates = members().unwrap();
    let found: BTreeSet<&str> = crates.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = MAY_SEE
        .iter()
        .map(|(name, _)| *name)
        .chain(FREE.iter().copied())
        .collect();
    // The consoles come with a later issue; everything else is there.
    assert_eq!(
        known
            .difference(&found)
            .copied()
            .filter(|c| *c != "console")
            .collect::<Vec<_>>(),
        [""; 0]
    );
    let breaches: Vec<String> = crates
        .iter()
        .flat_map(|(name, (_, manifest))| breaches(name, manifest))
        .collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn a_bad_manifest_is_refused() {
    let refused = |name: &str, text: &str| breaches(name, &toml::from_str(text).unwrap());
    let good = "[package]\nname = \"raccordo-ledger\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\nrepository.workspace = true\n\
        publish.workspace = true\n[lints]\nworkspace = true\n[dependencies]\nraccordo-model.workspace = true\n";
    assert_eq!(refused("ledger", good), [""; 0]);
    let bad = [
        (
            "ledger",
            "[dependencies]\nraccordo-store.workspace = true\n",
            "must not depend on raccordo-store",
        ),
        (
            "ledger",
            "[build-dependencies]\nraccordo-proto.workspace = true\n",
            "must not depend on raccordo-proto",
        ),
        (
            "store",
            "[target.'cfg(unix)'.dependencies]\nraccordo-content.workspace = true\n",
            "raccordo-content",
        ),
        (
            "gdl",
            "[dependencies]\nraccordo-store.workspace = true\n",
            "must not depend on raccordo-store",
        ),
        (
            "hub",
            "[dependencies]\nraccordo-spoke.workspace = true\n",
            "must not depend on raccordo-spoke",
        ),
        (
            "spoke",
            "[dependencies]\nraccordo-tests.workspace = true\n",
            "must not depend on raccordo-tests",
        ),
        (
            "demo",
            "[dependencies]\nraccordo-tests.workspace = true\n",
            "nobody depends on",
        ),
        (
            "node",
            "[dependencies]\nraccordo-demo = { workspace = true, optional = true }\n",
            "nobody depends on",
        ),
        (
            "console",
            "[dependencies]\nraccordo-node.workspace = true\n",
            "must not depend on raccordo-node",
        ),
        (
            "model",
            "[dependencies]\nprost.workspace = true\n",
            "must not use prost",
        ),
        (
            "model",
            "[dependencies]\nhex = \"0.4\"\n",
            "hex: the version belongs in the root Cargo.toml",
        ),
        (
            "model",
            "[dev-dependencies]\nhex = { version = \"0.4\" }\n",
            "hex: the version belongs",
        ),
        (
            "model",
            "[dependencies]\nnouns = { package = \"raccordo-store\", workspace = true }\n",
            "renamed",
        ),
        ("stranger", "[dependencies]\n", "no place in the direction"),
        ("model", "[package]\nedition = \"2021\"\n", "edition"),
        ("model", "[package]\nlicense = \"MIT\"\n", "license"),
        ("model", "[lints]\nworkspace = false\n", "lints"),
        ("model", "[package]\nautotests = false\n", "autotests"),
    ];
    for (name, text, named) in bad {
        let said = refused(name, text);
        assert!(said.iter().any(|b| b.contains(named)), "{text}: {said:?}");
    }
}

#[test]
fn each_version_is_stated_once_and_used() {
    let crates = members().unwrap();
    let root: Table = toml::from_str(&fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    let declared: BTreeSet<&str> = root["workspace"]["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let used: BTreeSet<&str> = crates
        .values()
        .flat_map(|(_, m)| dependencies(m, &["dependencies", "dev-dependencies", "build-dependencies"]))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        used.difference(&declared).collect::<Vec<_>>(),
        [&""; 0],
        "used and not declared"
    );
    // Our own crates stand there for whoever needs them.
    let idle: Vec<_> = declared
        .difference(&used)
        .filter(|d| !d.starts_with("raccordo-"))
        .collect();
    assert!(idle.is_empty(), "declared and used by no crate: {idle:?}");
}

#[test]
fn unsafe_code_is_forbidden() {
    let root: Table = toml::from_str(&fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    let lints = &root["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn no_source_file_is_forgotten() {
    let crates = members().unwrap();
    let mut forgotten = Vec::new();
    for (folder, _) in crates.values() {
        let all = sources(folder).unwrap();
        let mut reached = BTreeSet::new();
        for start in all.iter().filter(|path| is_root(folder, path)) {
            follow(start, true, &mut reached).unwrap();
        }
        forgotten.extend(all.difference(&reached).cloned());
    }
    assert!(forgotten.is_empty(), "no `mod` leads to {forgotten:?}");
}

#[test]
fn a_forgotten_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("src/a/inner")).unwrap();
    let files = [
        ("src/lib.rs", "pub mod a;\n"),
        (
            "src/a.rs",
            "mod inner {\n    mod d;\n}\n#[path = \"e.rs\"]\nmod other;\nmod b;\n",
        ),
        ("src/e.rs", ""),
        ("src/a/b.rs", ""),
        ("src/a/inner/d.rs", ""),
        ("src/c.rs", ""),
    ];
    for (name, text) in files {
        fs::write(at(name), text).unwrap();
    }
    let mut reached = BTreeSet::new();
    follow(&at("src/lib.rs"), true, &mut reached).unwrap();
    let all = sources(folder.path()).unwrap();
    assert_eq!(all.difference(&reached).collect::<Vec<_>>(), [&at("src/c.rs")]);
    fs::write(at("src/a/b.rs"), "mod gone;\n").unwrap();
    assert!(follow(&at("src/lib.rs"), true, &mut BTreeSet::new()).is_err());
}

/// Everything that is wrong with a crate's manifest.
fn breaches(name: &str, manifest: &Table) -> Vec<String> {
    let mut breaches = Vec::new();
    let package = manifest.get("package").and_then(Value::as_table);
    for field in INHERITED {
        if !package.and_then(|p| p.get(*field)).is_some_and(inherits) {
            breaches.push(format!("{name}: {field} is not taken from the workspace"));
        }
    }
    if !manifest.get("lints").is_some_and(inherits) {
        breaches.push(format!("{name}: lints are not taken from the workspace"));
    }
    for switch in ["autotests", "autobins"] {
        if package.is_some_and(|p| p.contains_key(switch)) {
            breaches.push(format!("{name}: {switch} hides files from cargo"));
        }
    }
    let all = dependencies(
        manifest,
        &["dependencies", "dev-dependencies", "build-dependencies"],
    );
    for (dependency, value) in all {
        if !inherits(value) || value.get("version").is_some() {
            breaches.push(format!(
                "{name}: {dependency}: the version belongs in the root Cargo.toml"
            ));
        }
        if value.get("package").is_some() {
            breaches.push(format!("{name}: {dependency} is renamed, which hides what it is"));
        }
    }
    let allowed = MAY_SEE
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, allowed)| *allowed);
    if allowed.is_none() && !FREE.contains(&name) {
        breaches.push(format!(
            "{name}: has no place in the direction of dependencies: see design.md"
        ));
    }
    let unwanted = MUST_NOT_USE
        .iter()
        .find(|(n, _)| *n == name)
        .map_or(&[][..], |(_, unwanted)| *unwanted);
    for (dependency, _) in dependencies(manifest, SHIPPED) {
        if unwanted.contains(&dependency) {
            breaches.push(format!("{name} must not use {dependency}"));
        }
        let Some(ours) = dependency.strip_prefix("raccordo-") else {
            continue;
        };
        if FREE.contains(&ours) {
            breaches.push(format!(
                "{name} must not depend on {dependency}: nobody depends on {ours}"
            ));
        } else if allowed.is_some_and(|allowed| !allowed.contains(&ours)) {
            breaches.push(format!("{name} must not depend on {dependency}"));
        }
    }
    breaches
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// The dependencies of some sections, those of `[target.…]` tables among them.
fn dependencies<'m>(manifest: &'m Table, sections: &'m [&str]) -> impl Iterator<Item = (&'m str, &'m Value)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(tables)
        .flat_map(move |table| sections.iter().filter_map(|section| table.get(*section)))
        .filter_map(Value::as_table)
        .flat_map(|table| table.iter().map(|(name, value)| (name.as_str(), value)))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace's folder")
        .into()
}

/// Folder and manifest of every member, by the last part of its folder.
fn members() -> Result<BTreeMap<String, (PathBuf, Table)>> {
    let root: Table = toml::from_str(&fs::read_to_string(root().join("Cargo.toml"))?)?;
    let members = root["workspace"]["members"].as_array().context("members")?;
    members
        .iter()
        .map(|m| member(m.as_str().context("a folder's name")?))
        .collect()
}

fn member(path: &str) -> Result<(String, (PathBuf, Table))> {
    let folder = root().join(path);
    let manifest: Table = toml::from_str(&fs::read_to_string(folder.join("Cargo.toml"))?)?;
    let name = folder
        .file_name()
        .and_then(|n| n.to_str())
        .context("a folder's name")?
        .to_owned();
    let package = manifest["package"]["name"].as_str();
    ensure!(
        package == Some(&format!("raccordo-{name}")),
        "{path}: the package is named {package:?}"
    );
    Ok((name, (folder, manifest)))
}

/// Every Rust file of a crate.
fn sources(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.insert(path);
        }
    }
    Ok(found)
}

/// Whether cargo starts from this file by itself.
fn is_root(folder: &Path, path: &Path) -> bool {
    let parts: Vec<_> = path
        .strip_prefix(folder)
        .unwrap_or(path)
        .iter()
        .filter_map(|p| p.to_str())
        .collect();
    matches!(
        parts[..],
        ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["tests" | "benches" | "examples", _]
            | ["tests" | "benches" | "examples", _, "main.rs"]
    )
}

/// Follows `mod name;` from a file, as the compiler does; formatted source closes a `mod name {` by a
/// brace under its first letter.
fn follow(file: &Path, is_start: bool, reached: &mut BTreeSet<PathBuf>) -> Result<()> {
    if !reached.insert(file.into()) {
        return Ok(());
    }
    let stem = file
        .file_stem()
        .and_then(|s| s.to_str())
        .context("a file's name")?;
    let beside = file.parent().context("a folder")?;
    let mut folder = if is_start || stem == "mod" {
        beside.into()
    } else {
        beside.join(stem)
    };
    let (mut open, mut named) = (Vec::new(), None);
    for line in fs::read_to_string(file)?.lines() {
        if let Some(path) = line
            .trim()
            .strip_prefix("#[path = \"")
            .and_then(|l| l.strip_suffix("\"]"))
        {
            named = Some(beside.join(path));
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, end) = match words[..] {
            ["}"] if open.last() == Some(&indent) => {
                open.pop();
                folder.pop();
                continue;
            }
            ["mod", name] => (name, ";"),
            [public, "mod", name] if public.starts_with("pub") => (name, ";"),
            ["mod", name, "{"] => (name, "{"),
            [public, "mod", name, "{"] if public.starts_with("pub") => (name, "{"),
            _ => continue,
        };
        if end == "{" {
            open.push(indent);
            folder.push(name);
            continue;
        }
        let Some(name) = name.strip_suffix(';') else {
            continue;
        };
        let default = [
            folder.join(format!("{name}.rs")),
            folder.join(name).join("mod.rs"),
        ];
        let found = named.take().map_or(default.to_vec(), |path| vec![path]);
        let next = found.iter().find(|p| p.exists());
        follow(
            next.with_context(|| format!("{}: mod {name}", file.display()))?,
            false,
            reached,
        )?;
    }
    Ok(())
}
