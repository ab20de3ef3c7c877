use super::*;
use crate::output::Format;

fn settings() -> Settings {
    Settings::new(
        "RACCORDO_HUB",
        [
            Setting::new("listen", Some("127.0.0.1:7443"), "indirizzo"),
            Setting::new("data", None, "cartella dei dati"),
            Setting::new("sync.batch", Some("256"), "voci per blocco"),
            Setting::secret("database.url", "base dati"),
        ],
    )
}

fn resolve(
    flags: &[(&'static str, &str)],
    env: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Resolved, ConfigError> {
    let flags = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    let env: BTreeMap<_, _> = env.iter().copied().collect();
    settings().resolve(
        &flags,
        |key| env.get(key).map(|v| (*v).to_owned()),
        file.map(|text| (Path::new("/etc/raccordo/hub.toml"), text)),
    )
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = Some("listen = \"file\"\n[sync]\nbatch = 7\n");
    let env = [("RACCORDO_HUB_LISTEN", "env")];
    let all = resolve(&[("listen", "flag")], &env, file).unwrap();
    assert_eq!(
        (all.get("listen"), all.origin("listen")),
        (Some("flag"), &Origin::Flag)
    );
    let all = resolve(&[], &env, file).unwrap();
    assert_eq!(all.get("listen"), Some("env"));
    assert_eq!(all.origin("listen").to_string(), "ambiente RACCORDO_HUB_LISTEN");
    let all = resolve(&[], &[], file).unwrap();
    assert_eq!(
        (all.get("listen"), all.get_u64("sync.batch").unwrap()),
        (Some("file"), Some(7))
    );
    let all = resolve(&[], &[], None).unwrap();
    assert_eq!(all.get("listen"), Some("127.0.0.1:7443"));
    assert_eq!(all.origin("listen"), &Origin::Default);
    assert!(matches!(all.require("data"), Err(ConfigError::Missing { .. })));
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    let error = resolve(&[], &[], Some("lisen = \"x\"")).unwrap_err();
    assert!(error.to_string().contains("forse `listen`?"), "{error}");
    let error = resolve(&[], &[], Some("[sync]\nquantity = 1")).unwrap_err();
    assert!(error.to_string().contains("esistono: listen, data"), "{error}");
    assert!(resolve(&[("nope", "x")], &[], None).is_err());
}

#[test]
fn a_broken_file_names_its_line() {
    let error = resolve(&[], &[], Some("listen = \"x\"\nsync = [\n")).unwrap_err();
    assert!(error.to_string().contains("hub.toml"), "{error}");
    assert!(error.to_string().contains("riga "), "{error}");
    assert!(resolve(&[], &[], Some("[[listen]]\na = 1")).is_err());
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    fs::write(&path, "postgres://u:hunter2@db/x\n").unwrap();
    let env = [("RACCORDO_HUB_DATABASE_URL_FILE", path.to_str().unwrap())];
    let all = resolve(&[], &env, None).unwrap();
    assert_eq!(all.get("database.url"), Some("postgres://u:hunter2@db/x"));
    for format in [Format::Table, Format::Json, Format::Csv] {
        let shown = all.show().render(format);
        assert!(shown.contains(MASK) && !shown.contains("hunter2"), "{shown}");
    }
    assert!(!format!("{all:?}").contains("hunter2"));
    let both = [env[0], ("RACCORDO_HUB_DATABASE_URL", "x")];
    assert!(matches!(
        resolve(&[], &both, None),
        Err(ConfigError::Twice { .. })
    ));
    // What is no secret has no such form.
    let all = resolve(&[], &[("RACCORDO_HUB_DATA_FILE", "/x")], None).unwrap();
    assert_eq!(all.get("data"), None);
}

#[test]
fn a_path_in_a_file_is_relative_to_it() {
    let all = resolve(&[], &[], Some("data = \"d\"")).unwrap();
    assert_eq!(all.get_path("data"), Some("/etc/raccordo/d".into()));
    let all = resolve(&[("data", "d")], &[], None).unwrap();
    assert_eq!(all.get_path("data"), Some("d".into()));
}

#[test]
fn a_bad_value_names_its_key_and_origin_only() {
    let all = resolve(&[], &[], Some("[sync]\nbatch = \"molti\"")).unwrap();
    let error = all.get_u64("sync.batch").unwrap_err().to_string();
    assert!(
        error.contains("`sync.batch`") && error.contains("hub.toml"),
        "{error}"
    );
    assert!(!error.contains("molti"), "{error}");
}

#[test]
fn distance_counts_edits() {
    assert_eq!(distance("lisen", "listen"), 1);
    assert_eq!(distance("kitten", "sitting"), 3);
    assert_eq!(distance("", "abc"), 3);
}
