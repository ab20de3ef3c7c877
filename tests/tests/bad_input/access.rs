//! Who may not: tokens, join bundles, certificates, keys, other regions.

use super::{
    peer::{Outcome, Region, Session, Shown, connect, in_seconds},
    state::{Before, database, level, meddle, size},
    wire::{joined, opened},
};
use anyhow::{Context, Result, bail, ensure};
use raccordo_cli::client::write_token;
use raccordo_ledger::join_proof;
use raccordo_node::{
    clock::{Clock, SystemClock},
    identity::{
        bundle::Bundle,
        ca::Ca,
        keys::NodeSecrets,
        tls::{client_config, read_certificate},
    },
    random::OsRandom,
};
use raccordo_proto::wire::{RenewRequest, enrolment_service_client::EnrolmentServiceClient, frame::Step};
use raccordo_tests::{
    federation::{Person, TestHub, TestSpoke, find, text},
    process::{Finished, Serving, run},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_none_open_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let spoke = hub.spoke(folder.path(), "090")?;
    let publisher = hub.person("Editrice", "MDS", &["publisher"])?;
    let observer = hub.person("Lettrice", "MDS", &["observer"])?;
    let spokes = Person {
        account: String::new(),
        token_file: spoke.data.join("admin.token"),
    };
    level(&hub, &[&spoke]).await?;
    let mut before = Before::of(&[&hub.data, &spoke.data]).await?;
    let secret = fs::read_to_string(&publisher.token_file)?;
    let token = |name: &str, content: &str| -> Result<Person> {
        let token_file = folder.path().join(name);
        fs::write(&token_file, content)?;
        fs::set_permissions(&token_file, fs::Permissions::from_mode(0o600))?;
        Ok(Person {
            account: String::new(),
            token_file,
        })
    };
    let mut letters: Vec<char> = secret.trim().chars().collect();
    let last = letters.last_mut().context("a token")?;
    *last = if *last == 'A' { 'Q' } else { 'A' };
    let cut = &secret.trim()[..20];
    for (what, content) in [
        ("a wrong secret", letters.iter().collect::<String>()),
        ("a token cut short", cut.to_owned()),
        (
            "a made-up token",
            "rct_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        ),
        ("a token with spaces", "rct 0123456789abcdef".into()),
        ("no token", String::new()),
        (
            "the token of another node",
            fs::read_to_string(spoke.data.join("admin.token"))?,
        ),
    ] {
        let person = token("wrong.token", &content)?;
        before
            .refused(what, hub.run_as(&person, &["account", "list"])?, 4, &["token"])
            .await?;
    }
    let admin = Person {
        account: String::new(),
        token_file: hub.data.join("admin.token"),
    };
    let at_spoke = ["whoami", "--token-file", text(&admin.token_file)?];
    before
        .refused("the Hub's token at a Spoke", spoke.run(&at_spoke)?, 4, &["token"])
        .await?;
    before
        .refused(
            "a role that it lacks",
            hub.run_as(&publisher, &["account", "list"])?,
            4,
            &["administrator"],
        )
        .await?;
    let accept = ["report", "accept", "090", "2023-09"];
    before
        .refused(
            "a reader who judges",
            hub.run_as(&observer, &accept)?,
            4,
            &["reviewer"],
        )
        .await?;
    before
        .refused(
            "a Spoke's token at the GdL",
            gdl(&hub, Some(&spokes))?,
            4,
            &["token"],
        )
        .await?;

    fs::set_permissions(&publisher.token_file, fs::Permissions::from_mode(0o644))?;
    before
        .refused(
            "a file that others read",
            hub.run_as(&publisher, &["whoami"])?,
            4,
            &["chmod 600", "0644"],
        )
        .await?;
    fs::set_permissions(&publisher.token_file, fs::Permissions::from_mode(0o600))?;
    let missing = Person {
        account: String::new(),
        token_file: folder.path().join("nowhere"),
    };
    before
        .refused("no file", hub.run_as(&missing, &["whoami"])?, 2, &["nowhere"])
        .await?;
    before
        .refused("nobody", gdl_without(&hub)?, 4, &["token"])
        .await?;
    for program in ["raccordo-hub", "raccordo-spoke", "raccordo-gdl"] {
        let got = run(program, &["--token", "rct_x", "--help"])?;
        let got = if got.code == 2 {
            got
        } else {
            run(program, &["status", "--token", "rct_x"])?
        };
        ensure!(
            got.code == 2 && got.stderr.contains("--token"),
            "{program} takes no token as an argument: {got:?}"
        );
    }

    // Revoked, then expired: the same token that worked.
    let lent = hub.another_token(&publisher.account, "lent.token")?;
    hub.run_as(&lent, &["whoami"])?.ok()?;
    let id =
        |person: &Person| Ok::<_, anyhow::Error>(fs::read_to_string(&person.token_file)?[4..20].to_owned());
    hub.run(&["token", "revoke", &id(&lent)?])?.ok()?;
    let old = hub.another_token(&publisher.account, "old.token")?;
    let sql = format!(
        "UPDATE local_token SET expires_us = 1 WHERE token_id = '{}'",
        id(&old)?
    );
    meddle(&hub.data, &sql).await?;
    before = Before::of(&[&hub.data, &spoke.data]).await?;
    before
        .refused(
            "a revoked token",
            hub.run_as(&lent, &["whoami"])?,
            4,
            &["revoked"],
        )
        .await?;
    before
        .refused(
            "an expired token",
            hub.run_as(&old, &["whoami"])?,
            4,
            &["expired"],
        )
        .await?;
    for (days, says) in [("0", "0 days"), ("400", "400 days")] {
        let out = folder.path().join("never.token");
        let issue = [
            "token",
            "issue",
            &publisher.account,
            "--days",
            days,
            "--out",
            text(&out)?,
        ];
        before.refused("days", hub.run(&issue)?, 1, &[says]).await?;
        ensure!(!out.exists(), "no token is written");
    }
    hub.run_as(&publisher, &["whoami"])?.ok().map(drop)
}

fn reader(hub: &TestHub) -> Result<Vec<String>> {
    let context = fs::read_to_string(hub.data.join("client.toml"))?;
    let name = context
        .lines()
        .find_map(|l| l.strip_prefix("server_name = "))
        .context("a name")?
        .trim_matches('"');
    let ca = hub.data.join("tls/ca.pem");
    let options = [
        "status",
        "--server",
        hub.address("api"),
        "--server-name",
        name,
        "--ca",
        text(&ca)?,
    ];
    Ok(options.map(str::to_owned).into())
}

fn gdl(hub: &TestHub, person: Option<&Person>) -> Result<Finished> {
    let mut arguments = reader(hub)?;
    if let Some(person) = person {
        arguments.extend(["--token-file".into(), text(&person.token_file)?.to_owned()]);
    }
    run(
        "raccordo-gdl",
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

fn gdl_without(hub: &TestHub) -> Result<Finished> {
    gdl(hub, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_bundle_is_for_one_region_once_and_for_its_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let invite = |code: &str| -> Result<PathBuf> {
        let path = folder.path().join(format!("{code}.bundle"));
        hub.run(&["region", "invite", code, "--out", text(&path)?])?
            .ok()?;
        Ok(path)
    };
    let join = |bundle: &Path, name: &str| -> Result<Finished> {
        let data = folder.path().join(name);
        run(
            "raccordo-spoke",
            &["join", "--bundle", text(bundle)?, "--data", text(&data)?],
        )
    };
    let used = invite("090")?;
    join(&used, "first")?.ok()?;
    let (other, late, open) = (invite("050")?, invite("070")?, invite("080")?);
    meddle(
        &hub.data,
        "UPDATE local_invitation SET expires_us = 1 WHERE region = '070'",
    )
    .await?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644))?;
    let before = Before::of(&[&hub.data]).await?;

    let edited = |bundle: &Path, name: &str, edit: &dyn Fn(&mut Bundle)| -> Result<PathBuf> {
        let mut content = Bundle::read(bundle)?;
        edit(&mut content);
        let path = folder.path().join(name);
        content.write(&path)?;
        Ok(path)
    };
    let renamed = edited(&other, "renamed.bundle", &|b| {
        b.region = "060".parse().expect("a region")
    })?;
    let expired = edited(&other, "expired.bundle", &|b| b.expires = in_seconds(-5))?;
    let guessed = edited(&other, "guessed.bundle", &|b| *b.token = "rcj_guessed".into())?;
    let damaged = folder.path().join("damaged.bundle");
    let text_of = fs::read_to_string(&other)?;
    fs::write(&damaged, &text_of[..text_of.len() - 60])?;
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o600))?;
    for (what, bundle, says) in [
        ("a bundle that was used", &used, "used"),
        ("the token of another region", &renamed, "region"),
        ("a bundle past its time, by itself", &expired, "expired"),
        ("a bundle past its time, by the Hub", &late, "expired"),
        ("a token that nobody issued", &guessed, "token"),
        ("a damaged bundle", &damaged, "damaged"),
        ("a bundle that others read", &open, "chmod 600"),
    ] {
        let got = join(bundle, "second")?;
        let all = format!("{}{}", got.stdout, got.stderr);
        ensure!(got.code != 0 && all.contains(says), "{what}: {} {all}", got.code);
        ensure!(
            all.contains("ask the centre") || all.contains("chmod") || all.contains("rimedio"),
            "{what}: {all}"
        );
        ensure!(
            !folder.path().join("second/node.toml").exists(),
            "{what}: no node is made"
        );
        before.unchanged(what).await?;
        let _ = fs::remove_dir_all(folder.path().join("second"));
    }
    // A refused attempt does not use a token up.
    join(&other, "third")?.ok().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exchange_port_is_for_certificates_of_the_federation() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let region = joined(&hub, folder.path(), "020")?;
    let data = folder.path().join("spoke-020");
    let node = region.file.node;
    let before = Before::of(&[&hub.data]).await?;
    let ours = Ca::open(&hub.data, &region.file.federation)?;
    let foreign = Ca::create(
        &folder.path().join("foreign"),
        &region.file.federation,
        SystemClock.now(),
        &OsRandom,
    )?;
    let renamed = Ca::open(&hub.data, &"altra".parse()?)?;
    for (what, shown) in [
        ("no certificate", Shown::Nothing),
        ("a certificate of another CA", Shown::Issued(&foreign, node, 0)),
        ("an expired certificate", Shown::Issued(&ours, node, -3_600)),
        (
            "a certificate that is not valid yet",
            Shown::Issued(&ours, node, 3_600),
        ),
        (
            "a certificate of another federation",
            Shown::Issued(&renamed, node, 0),
        ),
        ("the Hub's own name", Shown::Issued(&ours, "hub".parse()?, 0)),
    ] {
        let channel = connect(&data, hub.address("exchange"), &shown)?;
        refused_at_the_door(&channel, &region)
            .await
            .with_context(|| what.to_owned())?;
        before.unchanged(what).await?;
    }
    // And the right one is admitted.
    let mut session = Session::open(&region.channel).await?;
    session.send(Step::Hello(region.hello())).await?;
    ensure!(
        matches!(session.next().await?, Ok(Step::Welcome(_))),
        "the region's own certificate opens a session"
    );
    Ok(())
}

/// Neither a session nor content.
async fn refused_at_the_door(channel: &tonic::transport::Channel, region: &Region) -> Result<()> {
    let opened = async {
        let mut session = Session::open(channel).await?;
        session.send(Step::Hello(region.hello())).await?;
        session.next().await
    };
    if let Ok(Ok(step)) = opened.await {
        bail!("the Hub answers {step:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_region_is_put_out_and_the_others_stay() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let stays = hub.spoke(folder.path(), "090")?;
    let mut goes = joined(&hub, folder.path(), "140")?;
    goes.append(&[goes.entry("region/140", &opened(&goes, "140")?)?])
        .await?
        .nacks()?;
    level(&hub, &[&stays]).await?;
    let mut open = goes.session().await?;
    let admin = ["region", "revoke", "140", "--reason", "contratto finito"];
    hub.run(&admin)?.ok()?;
    // The stream that was open is closed: by a farewell, or with its connection.
    ensure!(
        !matches!(open.end().await?, Outcome::Stored(_)),
        "the open stream ends"
    );
    level(&hub, &[&stays]).await?;
    let before = Before::of(&[&hub.data]).await?;
    let data = folder.path().join("spoke-140");
    let channel = connect(&data, hub.address("exchange"), &Shown::Own)?;
    refused_at_the_door(&channel, &goes).await?;
    before.unchanged("a revoked region's session").await?;
    // Renewing brings no new certificate.
    let secrets = NodeSecrets::open(&data)?;
    let (request, at) = (secrets.certificate_request()?, SystemClock.now().0);
    let message = join_proof::renew_message("140".parse()?, &request, at);
    let renew = RenewRequest {
        region: "140".into(),
        proof: join_proof::sign(secrets.ledger_seed(), &message).to_vec(),
        certificate_request: request,
        requested_at_us: at,
    };
    let ca = read_certificate(&data.join("tls/ca.pem"))?;
    let api = raccordo_node::channel::channel(
        Arc::new(raccordo_node::channel::TcpDialer),
        hub.address("api"),
        "hub".parse()?,
        client_config(&ca, None)?,
    )?;
    let got = EnrolmentServiceClient::new(api).renew(renew).await;
    before
        .status(
            "a revoked region renews",
            got,
            &[Code::PermissionDenied],
            &["140"],
        )
        .await?;
    // Revoked once is revoked; what it sent stays; the other region works on.
    ensure!(size(&hub.data, "140").await? == 1);
    let listed = find(
        &hub.run(&["region", "list", "-o", "json"])?.ok()?.json()?,
        "region",
    );
    ensure!(listed.is_some(), "the list answers");
    let held = size(&hub.data, "090").await?;
    adopt_something(&stays)?;
    for _ in 0..600 {
        if size(&hub.data, "090").await? > held {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    bail!("the other region's entries no longer arrive")
}

/// An entry of a region that needs nothing from before.
fn adopt_something(spoke: &TestSpoke) -> Result<()> {
    let plan = spoke.data.join("plan.yaml");
    fs::write(&plan, super::centre::TOSCANA)?;
    spoke.run(&["po", "import", text(&plan)?])?.ok()?;
    spoke.run(&["po", "submit"])?.ok().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_others_can_read_are_not_used() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let stopped = hub.serving.take().context("it serves")?.stop()?;
    ensure!(stopped, "an orderly end");
    drop(database(&hub.data).await?);
    for name in [
        "keys/ledger.key",
        "keys/cosigner.key",
        "keys/tls.key",
        "keys/ca.key",
    ] {
        let path = hub.data.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
        match Serving::start("raccordo-hub", &hub.data, &[]) {
            Ok(_) => bail!("{name}: it serves with a key that others may read"),
            Err(error) => {
                let log = format!("{error:#}");
                ensure!(log.contains(name) && log.contains("chmod 600"), "{name}: {log}");
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    hub.serve()?;
    hub.run(&["whoami"])?.ok()?;
    // A token is written for its owner alone.
    let secret = raccordo_cli::client::SecretToken::parse("rct_0123456789abcdef")?;
    let path = folder.path().join("a.token");
    write_token(&path, &secret)?;
    ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600);
    let mode = fs::metadata(hub.data.join("admin.token"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "the administrator's token: {mode:o}");
    Ok(())
}
