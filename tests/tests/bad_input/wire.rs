//! Malformed and oversized messages on both ports; frames that break the protocol; content of others.

use super::{
    peer::{Region, Session},
    raw,
    state::{Before, size},
};
use anyhow::{Context, Result, ensure};
use futures::stream;
use raccordo_cli::client::{self, node_context};
use raccordo_node::status::remedy_of;
use raccordo_proto::{
    body::Act,
    wire::{
        Cosigned, Entitlement, FetchRequest, FetchResponse, GoodbyeCode, JoinRequest, SessionRequest, Stored,
        WhoAmIRequest, content_service_client::ContentServiceClient,
        enrolment_service_client::EnrolmentServiceClient, frame::Step,
        node_service_client::NodeServiceClient,
    },
};
use raccordo_tests::{
    federation::{TestHub, file, text},
    process::run,
};
use std::{fs, path::Path};
use tonic::{Code, Status};

const NOT_PROTOBUF: &[u8] = &[0xff; 60];
const GARBAGE: [Code; 2] = [Code::Internal, Code::InvalidArgument];
const TOO_LARGE: [Code; 2] = [Code::OutOfRange, Code::ResourceExhausted];

/// A region that joined and never served.
pub(crate) fn joined(hub: &TestHub, folder: &Path, code: &str) -> Result<Region> {
    let bundle = folder.join(format!("{code}.bundle"));
    hub.run(&["region", "invite", code, "--out", text(&bundle)?])?
        .ok()?;
    let data = folder.join(format!("spoke-{code}"));
    run(
        "raccordo-spoke",
        &["join", "--bundle", text(&bundle)?, "--data", text(&data)?],
    )?
    .ok()?;
    Region::open(&data, hub.address("exchange"))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_are_refused_on_the_api() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let before = Before::of(&[&hub.data]).await?;
    let api = client::connect(&node_context(&hub.data)?).await?;
    for path in [
        "/raccordo.v1.NodeService/AddAccount",
        "/raccordo.v1.NodeService/SetClock",
        "/raccordo.v1.HubAdministrationService/PublishSyllabi",
        "/raccordo.v1.HubAdministrationService/ConfirmOperationalPlan",
        "/raccordo.v1.StatusService/Consolidated",
        "/raccordo.v1.EnrolmentService/Join",
        "/raccordo.v1.EnrolmentService/Renew",
    ] {
        let got = raw::call(api.clone(), path, NOT_PROTOBUF.to_vec()).await;
        before.status(path, got, &GARBAGE, &["decode"]).await?;
        let got = raw::call(api.clone(), path, vec![0; 5 * 1_024 * 1_024]).await;
        before.status(path, got, &TOO_LARGE, &["too large"]).await?;
    }
    let got = raw::call(api.clone(), "/raccordo.v1.NodeService/Nothing", Vec::new()).await;
    before
        .status("a call that is not there", got, &[Code::Unimplemented], &[])
        .await?;

    // A message that is one, with fields that are nothing.
    let mut joining = EnrolmentServiceClient::new(api.clone());
    let got = joining
        .join(JoinRequest {
            region: "090".into(),
            ..JoinRequest::default()
        })
        .await;
    let remedy = got.as_ref().err().map(remedy_of).unwrap_or_default();
    before
        .status(
            "keys of no length",
            got,
            &[Code::InvalidArgument],
            &["ledger_key", "0 bytes"],
        )
        .await?;
    ensure!(remedy.contains("32 bytes"), "a remedy: {remedy}");

    let me = NodeServiceClient::new(api)
        .who_am_i(WhoAmIRequest {})
        .await?
        .into_inner();
    ensure!(me.node == "hub", "the same connection goes on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_end_the_session_and_change_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let mut region = joined(&hub, folder.path(), "020")?;
    let mut other = joined(&hub, folder.path(), "140")?;
    let before = Before::of(&[&hub.data]).await?;
    handshakes(&region, &before).await?;
    frames(&mut region, &before).await?;
    messages(&region, &before).await?;
    ensure!(
        size(&hub.data, "020").await? == 0,
        "nothing of all that was stored"
    );

    // The same region, in order, is welcome; what the Hub holds already changes nothing.
    let opened = opened(&region, "020")?;
    let again = region.batch(&[region.entry("region/020", &opened)?])?.0;
    ensure!(
        region
            .append(&[region.entry("region/020", &opened)?])
            .await?
            .nacks()?
            .is_empty()
    );
    ensure!(size(&hub.data, "020").await? == 1);
    let before = Before::of(&[&hub.data]).await?;
    let mut session = region.session().await?;
    session.send(Step::Batch(again)).await?;
    while !matches!(session.next().await?, Ok(Step::Stored(Stored { size: 1, .. }))) {}
    before.unchanged("a batch that came before").await?;
    undecodable(&mut region, &hub).await?;
    clones(&mut other, &hub).await
}

pub(crate) fn opened(region: &Region, code: &str) -> Result<Act> {
    Ok(Act::RegionOpened {
        region: code.parse()?,
        federation: region.file.federation.clone(),
        test: true,
    })
}

async fn handshakes(region: &Region, before: &Before) -> Result<()> {
    let sound = region.hello();
    let mut cases = Vec::new();
    let mut hello = sound.clone();
    hello.node = "140".into();
    cases.push((
        "the Hello of another region",
        hello,
        GoodbyeCode::Mismatch,
        "region",
    ));
    let mut hello = sound.clone();
    hello.federation = "altra".into();
    cases.push((
        "the Hello of another federation",
        hello,
        GoodbyeCode::Mismatch,
        "federation",
    ));
    let mut hello = sound;
    hello.protocol_version = 0;
    cases.push(("no common version", hello, GoodbyeCode::Mismatch, "version"));
    for (what, hello, code, says) in cases {
        let mut session = Session::open(&region.channel).await?;
        session.send(Step::Hello(hello)).await?;
        let (said, words) = session.end().await?.goodbye()?;
        ensure!(said == code && words.contains(says), "{what}: {said:?} {words}");
        before.unchanged(what).await?;
    }
    let (batch, _) = region.batch(&[region.entry("region/020", &opened(region, "020")?)?])?;
    let mut session = Session::open(&region.channel).await?;
    session.send(Step::Batch(batch)).await?;
    let (said, words) = session.end().await?.goodbye()?;
    ensure!(
        said == GoodbyeCode::Protocol && words.contains("out of turn"),
        "a batch before Hello: {said:?} {words}"
    );
    before.unchanged("a batch before Hello").await
}

async fn frames(region: &mut Region, before: &Before) -> Result<()> {
    let act = opened(region, "020")?;
    let entry = |region: &Region| region.entry("region/020", &act);
    let sound = region.batch(&[entry(region)?])?.0;
    let mut cases = Vec::new();

    let mut gap = sound.clone();
    gap.first = 5;
    cases.push(("a gap", gap, "begins at entry 5"));
    let mut header = sound.clone();
    header.leaves[0].header = vec![b'x'; 4_097];
    cases.push(("a header over its bound", header, "4097"));
    let mut body = sound.clone();
    body.leaves[0].body.as_mut().context("a body")?.stored = vec![0; 512 * 1_024 + 1];
    cases.push(("a body over its bound", body, "524289"));
    let many: Vec<_> = (0..257).map(|_| entry(region)).collect::<Result<_>>()?;
    cases.push(("too many entries", region.batch(&many)?.0, "257 entries"));
    let mut empty = sound.clone();
    empty.leaves.clear();
    cases.push(("no entries", empty, "0 entries"));
    let mut total = sound.clone();
    let mut leaf = total.leaves[0].clone();
    leaf.body.as_mut().context("a body")?.stored = vec![0; 300 * 1_024];
    total.leaves = vec![leaf; 3];
    cases.push(("a batch over its bytes", total, "bytes of headers and bodies"));
    let mut other = sound.clone();
    other.node = "140".into();
    cases.push(("another region's ledger", other, "140"));
    let mut ours = sound.clone();
    ours.node = "hub".into();
    cases.push(("the Hub's own ledger", ours, "hub"));
    let mut nobody = sound;
    nobody.node = "nessuno".into();
    cases.push(("nobody's ledger", nobody, "nessuno"));
    for (what, batch, says) in cases {
        let mut session = region.session().await?;
        session.send(Step::Batch(batch)).await?;
        let (code, words) = session.end().await?.goodbye().with_context(|| what.to_owned())?;
        ensure!(
            code == GoodbyeCode::Protocol && words.contains(says),
            "{what}: {code:?} {words}"
        );
        before.unchanged(what).await?;
    }
    let answers = [
        ("a second Hello", Step::Hello(region.hello()), "out of turn"),
        (
            "an answer to nothing",
            Step::Stored(Stored {
                node: "hub".into(),
                size: 9_999,
            }),
            "not sent",
        ),
        (
            "a cosignature of what was never signed",
            Step::Cosigned(Cosigned {
                node: "hub".into(),
                size: 9_999,
                line: "— x y".into(),
            }),
            "signed nothing",
        ),
    ];
    for (what, step, says) in answers {
        let mut session = region.session().await?;
        session.send(step).await?;
        let (code, words) = session.end().await?.goodbye()?;
        ensure!(
            code == GoodbyeCode::Protocol && words.contains(says),
            "{what}: {code:?} {words}"
        );
        before.unchanged(what).await?;
    }
    Ok(())
}

async fn messages(region: &Region, before: &Before) -> Result<()> {
    let mut session = Session::open(&region.channel).await?;
    session.message(SessionRequest { frame: None }).await?;
    let (code, words) = session.end().await?.goodbye()?;
    ensure!(
        code == GoodbyeCode::Protocol && words.contains("empty frame"),
        "an empty frame: {code:?} {words}"
    );
    before.unchanged("an empty frame").await?;

    let mut hello = region.hello();
    hello.build = "x".repeat(1_024 * 1_024);
    let mut session = Session::open(&region.channel).await?;
    session.send(Step::Hello(hello)).await?;
    let (code, words) = session.end().await?.goodbye()?;
    ensure!(
        code == GoodbyeCode::Protocol && words.contains("too large"),
        "over 1 MiB: {code:?} {words}"
    );
    before.unchanged("a message over 1 MiB").await?;

    let path = "/raccordo.v1.ExchangeService/Session";
    let mut answers = raw::stream(
        region.channel.clone(),
        path,
        stream::iter([NOT_PROTOBUF.to_vec()]),
    )
    .await?;
    let answer = answers.message().await?.context("a farewell")?;
    let words = String::from_utf8_lossy(&answer);
    ensure!(
        words.contains("no frame") && words.contains("decode"),
        "no protobuf: {words}"
    );
    before.unchanged("no protobuf").await
}

/// A signed entry whose header cannot be read: verification fails, the region is fenced with the evidence, and
/// the ledgers stay as they are.
async fn undecodable(region: &mut Region, hub: &TestHub) -> Result<()> {
    let held = (size(&hub.data, "hub").await?, size(&hub.data, "020").await?);
    let mut writing = region.entry("region/020", &opened(region, "020")?)?;
    writing.header = vec![0xff; 40];
    let (code, words) = region.append(&[writing]).await?.goodbye()?;
    ensure!(
        code == GoodbyeCode::Verification && words.contains("header"),
        "{code:?} {words}"
    );
    ensure!(held == (size(&hub.data, "hub").await?, size(&hub.data, "020").await?));
    let fenced = hub.run(&["sync", "status", "-o", "json"])?.ok()?.json()?;
    let fences = fenced["fences"].to_string();
    ensure!(
        fences.contains("020") && fences.contains("header"),
        "the fence is shown: {fenced}"
    );

    // From now on a person must go on; sound entries too wait.
    let mut session = Session::open(&region.channel).await?;
    session.send(Step::Hello(region.hello())).await?;
    let (code, words) = session.end().await?.goodbye()?;
    ensure!(
        code == GoodbyeCode::Fenced && words.contains("sync status"),
        "{code:?} {words}"
    );
    hub.run(&["region", "list"])?.ok().map(drop)
}

/// An epoch that nobody issued: a copied disk. The pair is fenced, the ledgers stay as they are.
async fn clones(region: &mut Region, hub: &TestHub) -> Result<()> {
    drop(region.session().await?);
    let held = (size(&hub.data, "hub").await?, size(&hub.data, "140").await?);
    let mut hello = region.hello();
    hello.epoch = 77;
    let mut session = Session::open(&region.channel).await?;
    session.send(Step::Hello(hello)).await?;
    let (code, words) = session.end().await?.goodbye()?;
    ensure!(
        code == GoodbyeCode::Epoch && words.contains("77"),
        "{code:?} {words}"
    );
    ensure!(held == (size(&hub.data, "hub").await?, size(&hub.data, "140").await?));
    let fences = hub.run(&["sync", "status", "-o", "json"])?.ok()?.json()?["fences"].to_string();
    ensure!(fences.contains("140"), "the fence is shown: {fences}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_served_to_those_entitled_and_as_published_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let publisher = hub.person("Editrice", "MDS", &["publisher"])?;
    let syllabi = file(folder.path(), "syllabi.yaml", super::centre::SYLLABI)?;
    hub.run_as(&publisher, &["syllabus", "publish", &syllabi])?.ok()?;
    let kit = folder.path().join("kit");
    fs::create_dir(&kit)?;
    fs::write(kit.join("uno.txt"), "lezione uno")?;
    let descriptor = file(folder.path(), "kit.yaml", super::centre::KIT)?;
    let done = hub.run_as(
        &publisher,
        &[
            "kit",
            "publish",
            &descriptor,
            "--folder",
            text(&kit)?,
            "-o",
            "json",
        ],
    )?;
    done.ok()?;
    let listed = hub.run(&["kit", "list", "-o", "json"])?.ok()?.json()?;
    let manifest = hex::decode(raccordo_tests::federation::find(&listed, "digest").context("the digest")?)?;
    let index: u64 = raccordo_tests::federation::find(&listed, "index")
        .context("the index")?
        .parse()?;
    let region = joined(&hub, folder.path(), "020")?;
    let mut other = joined(&hub, folder.path(), "140")?;
    other
        .append(&[other.entry("region/140", &opened(&other, "140")?)?])
        .await?
        .nacks()?;
    let before = Before::of(&[&hub.data]).await?;

    let mut client = ContentServiceClient::new(region.channel.clone());
    let at = |node: &str, index| {
        Some(Entitlement {
            node: node.into(),
            index,
        })
    };
    let ask = |entitlement, manifest: &[u8], chunks| FetchRequest {
        entitlement,
        manifest: manifest.to_vec(),
        chunks,
    };
    let denied = [Code::PermissionDenied, Code::NotFound];
    let none: Vec<Vec<u8>> = Vec::new();
    for (what, request, codes, says) in [
        (
            "an entry that names no content",
            ask(at("hub", 0), &manifest, none.clone()),
            &denied[..],
            "hub/0",
        ),
        (
            "another region's entry",
            ask(at("140", 0), &manifest, none.clone()),
            &denied,
            "140/0",
        ),
        (
            "an entry that is not there",
            ask(at("hub", 900), &manifest, none.clone()),
            &denied,
            "hub/900",
        ),
        (
            "another manifest",
            ask(at("hub", index), &[7; 32], none.clone()),
            &denied,
            "does not name the manifest",
        ),
        (
            "a foreign chunk",
            ask(at("hub", index), &manifest, vec![vec![7; 32]]),
            &denied,
            "is not of the manifest",
        ),
        (
            "no digest",
            ask(at("hub", index), &[7; 3], none.clone()),
            &[Code::InvalidArgument],
            "32 bytes",
        ),
        (
            "no entitlement",
            ask(None, &manifest, none),
            &[Code::InvalidArgument],
            "Entitlement",
        ),
        (
            "513 chunks",
            ask(at("hub", index), &manifest, vec![vec![7; 32]; 513]),
            &[Code::ResourceExhausted],
            "513 chunks",
        ),
    ] {
        let got = first(client.fetch(request).await).await;
        let remedy = got.as_ref().err().map(remedy_of).unwrap_or_default();
        before.status(what, got, codes, &[says]).await?;
        ensure!(!remedy.is_empty(), "{what}: no remedy");
    }
    let piece = first(client.fetch(ask(at("hub", index), &manifest, Vec::new())).await).await?;
    ensure!(piece.digest == manifest, "what was published is served");
    Ok(())
}

async fn first(
    answer: Result<tonic::Response<tonic::Streaming<FetchResponse>>, Status>,
) -> Result<FetchResponse, Status> {
    answer?
        .into_inner()
        .message()
        .await?
        .ok_or_else(|| Status::data_loss("no piece"))
}
