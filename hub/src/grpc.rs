//! The services, thin: who it is, parse, decide, answer. Every call leaves a line in the access log.
//! Operators are served here, readers in `status`.

mod status;

pub use status::{StatusReader, status};

use crate::{
    catalogue::{code_lists, kit, syllabus},
    federation::Hub,
    monitoring::report::{self, Verdict},
    plans::{pe, po, proposal},
    regions::{self, Addresses, refusal},
};
use futures::Stream;
use raccordo_content::Progress;
use raccordo_model::{
    edition::Versioned, kit::KitDescriptor, node::RegionCode, operational_plan::PoVerdict, period::Period,
};
use raccordo_node::{
    NodeError,
    account::Role,
    auth::{Authenticator, Principal},
    status::Refusal,
};
use raccordo_proto::{
    body::Observation,
    wire::{
        self,
        hub_administration_service_server::{HubAdministrationService, HubAdministrationServiceServer},
        publish_kit_response::Step,
    },
};
use raccordo_store::Tx;
use std::{
    path::PathBuf,
    pin::Pin,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Largest request, in bytes: a document of 1 MiB with its name.
const REQUEST_BYTES_MAX: usize = 1_024 * 1_024 + 64 * 1_024;
/// Largest answer, in bytes: a whole report or the status of the country.
const ANSWER_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Longest name of a file or text of an identifier that is looked at, in bytes.
const NAME_MAX: usize = 200;
/// Most observations of one request.
const OBSERVATIONS_MAX: usize = raccordo_proto::body::OBSERVATIONS_MAX;

const PUBLISHER: &[Role] = &[Role::Publisher];
const REVIEWER: &[Role] = &[Role::Reviewer];
const APPROVER: &[Role] = &[Role::Approver];
const ADMINISTRATOR: &[Role] = &[Role::Administrator];
/// Everyone at the centre; observers read the status and the fleet alone.
const CENTRE: &[Role] = &[
    Role::Publisher,
    Role::Reviewer,
    Role::Approver,
    Role::Administrator,
];

/// Answers `HubAdministrationService`.
#[derive(Clone)]
pub struct Administration {
    hub: Arc<Hub>,
    addresses: Addresses,
    authenticator: Authenticator,
}

/// The operators' service for tonic.
pub fn administration(
    hub: Arc<Hub>,
    addresses: Addresses,
    authenticator: Authenticator,
) -> HubAdministrationServiceServer<Administration> {
    HubAdministrationServiceServer::new(Administration {
        hub,
        addresses,
        authenticator,
    })
    .max_decoding_message_size(REQUEST_BYTES_MAX)
    .max_encoding_message_size(ANSWER_BYTES_MAX)
}

type Answer<T> = Result<Response<T>, Status>;

fn answer<T, W: From<T>>(outcome: Result<T, NodeError>) -> Answer<W> {
    outcome
        .map(|value| Response::new(value.into()))
        .map_err(|error| refusal(error).into())
}

/// A short text from outside, as a value.
fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str, remedy: &str) -> Result<T, Status> {
    let short: String = text.chars().take(NAME_MAX).collect();
    short.parse().map_err(|e| Refusal::invalid(e, remedy).into())
}

fn region(text: &str) -> Result<RegionCode, Status> {
    parse(text, "write the ministry's code of the region")
}

fn period(text: &str) -> Result<Period, Status> {
    parse(text, "write year and month, for example 2023-11")
}

fn year(year: u32) -> Result<i16, Status> {
    let plausible = i16::try_from(year).ok().filter(|y| (2_000..=2_100).contains(y));
    plausible.ok_or_else(|| {
        Refusal::invalid(
            format_args!("`{year}` is not a year of a plan"),
            "write for example 2023",
        )
        .into()
    })
}

fn versioned(id: &str, version: &str) -> Result<Versioned, Status> {
    let remedy = "see `kit list`";
    Ok(Versioned {
        id: parse(id, remedy)?,
        version: parse(version, remedy)?,
    })
}

/// The text of a document and the name that errors show.
fn document(document: Option<wire::Document>) -> Result<(String, String), Status> {
    let document = document.ok_or_else(|| Refusal::invalid("`document` is missing", "give a document"))?;
    Ok((file_name(&document.file_name), document.text))
}

fn file_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    match &name[..name.floor_char_boundary(NAME_MAX)] {
        "" => "document".into(),
        name => name.into(),
    }
}

fn name_of(document: &Option<wire::Document>) -> String {
    document
        .as_ref()
        .map_or(String::new(), |d| file_name(&d.file_name))
}

async fn enter<T>(
    authenticator: &Authenticator,
    request: Request<T>,
    roles: &[Role],
    method: &'static str,
    detail: impl FnOnce(&T) -> String,
) -> Result<(Principal, T), Status> {
    let (metadata, _, body) = request.into_parts();
    let principal = authenticator
        .enter(&metadata, roles, method, &detail(&body))
        .await?;
    Ok((principal, body))
}

impl Administration {
    async fn enter<T>(
        &self,
        request: Request<T>,
        roles: &[Role],
        method: &'static str,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<(Principal, T), Status> {
        enter(&self.authenticator, request, roles, method, detail).await
    }

    async fn read(&self) -> Result<Tx, Status> {
        self.hub.node.db.read().await.map_err(|e| Refusal::from(e).into())
    }
}

#[tonic::async_trait]
impl HubAdministrationService for Administration {
    type PublishKitStream = Pin<Box<dyn Stream<Item = Result<wire::PublishKitResponse, Status>> + Send>>;

    async fn invite_region(
        &self,
        request: Request<wire::InviteRegionRequest>,
    ) -> Answer<wire::InviteRegionResponse> {
        let (principal, body) = self
            .enter(
                request,
                ADMINISTRATOR,
                "hub.invite_region",
                |r: &wire::InviteRegionRequest| r.region.clone(),
            )
            .await?;
        let who = (region(&body.region)?, body.valid_days);
        let (node, ca, root) = (&self.hub.node, &self.hub.ca, self.hub.file.root_key_fingerprint);
        let bundle = regions::invite(node, ca, root, &self.addresses, &principal.actor(), who).await;
        let bundle = bundle.map_err(refusal)?;
        Ok(Response::new(wire::InviteRegionResponse {
            bundle: bundle.encode().to_string(),
            expires_at_us: bundle.expires.0,
            ca_fingerprint: bundle.ca_fingerprint().to_vec(),
        }))
    }

    async fn list_regions(&self, request: Request<wire::ListRegionsRequest>) -> Answer<wire::Listing> {
        self.enter(request, CENTRE, "hub.list_regions", |_| String::new())
            .await?;
        let now = self.hub.node.system_clock.now();
        answer(
            regions::list(&mut self.read().await?, &self.hub.peers, now)
                .await
                .map_err(NodeError::from),
        )
    }

    async fn revoke_region(&self, request: Request<wire::RevokeRegionRequest>) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                ADMINISTRATOR,
                "hub.revoke_region",
                |r: &wire::RevokeRegionRequest| r.region.clone(),
            )
            .await?;
        let code = region(&body.region)?;
        let (node, revoked, peers) = (&self.hub.node, &self.hub.revoked, &self.hub.peers);
        answer(regions::revoke(node, revoked, peers, principal.actor(), code, &body.reason).await)
    }

    async fn publish_code_lists(
        &self,
        request: Request<wire::PublishCodeListsRequest>,
    ) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                PUBLISHER,
                "hub.publish_code_lists",
                |r: &wire::PublishCodeListsRequest| name_of(&r.document),
            )
            .await?;
        let (file, text) = document(body.document)?;
        answer(code_lists::publish(&self.hub.node, principal.actor(), &text, &file).await)
    }

    async fn list_code_lists(&self, request: Request<wire::ListCodeListsRequest>) -> Answer<wire::Listing> {
        self.enter(request, CENTRE, "hub.list_code_lists", |_| String::new())
            .await?;
        answer(
            code_lists::list(&mut self.read().await?)
                .await
                .map_err(NodeError::from),
        )
    }

    async fn publish_syllabi(
        &self,
        request: Request<wire::PublishSyllabiRequest>,
    ) -> Answer<wire::PublishSyllabiResponse> {
        let (principal, body) = self
            .enter(
                request,
                PUBLISHER,
                "hub.publish_syllabi",
                |r: &wire::PublishSyllabiRequest| name_of(&r.document),
            )
            .await?;
        let (file, text) = document(body.document)?;
        let receipts = syllabus::publish(&self.hub.node, principal.actor(), &text, &file)
            .await
            .map_err(refusal)?;
        let receipts = receipts.into_iter().map(wire::Receipt::from).collect();
        Ok(Response::new(wire::PublishSyllabiResponse { receipts }))
    }

    async fn list_syllabi(&self, request: Request<wire::ListSyllabiRequest>) -> Answer<wire::Listing> {
        self.enter(request, CENTRE, "hub.list_syllabi", |_| String::new())
            .await?;
        answer(
            syllabus::list(&mut self.read().await?)
                .await
                .map_err(NodeError::from),
        )
    }

    async fn publish_kit(&self, request: Request<wire::PublishKitRequest>) -> Answer<Self::PublishKitStream> {
        let (principal, body) = self
            .enter(
                request,
                PUBLISHER,
                "hub.publish_kit",
                |r: &wire::PublishKitRequest| format!("{} {}", name_of(&r.descriptor), r.folder),
            )
            .await?;
        let (file, text) = document(body.descriptor)?;
        let descriptor = KitDescriptor::parse_yaml(&text, &file)
            .map_err(|e| Refusal::invalid(e, "correct the descriptor where it is named"))?;
        let (send, receive) = mpsc::channel(16);
        let (hub, folder) = (self.hub.clone(), PathBuf::from(body.folder));
        // Owned by itself: a publication goes on to its end although its caller went away.
        tokio::spawn(async move {
            let progress = Reporter {
                send: send.clone(),
                files: AtomicU64::new(0),
                total: AtomicU64::new(0),
                done: AtomicU64::new(0),
            };
            let outcome = kit::publish(
                &hub.node,
                (&hub.packs, &hub.data),
                principal.actor(),
                &descriptor,
                &folder,
                &progress,
            )
            .await;
            let last = outcome
                .map(|receipt| wire::PublishKitResponse {
                    step: Some(Step::Receipt(receipt.into())),
                })
                .map_err(|error| Status::from(refusal(error)));
            let _ = send.send(last).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    async fn withdraw_kit(&self, request: Request<wire::WithdrawKitRequest>) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                PUBLISHER,
                "hub.withdraw_kit",
                |r: &wire::WithdrawKitRequest| format!("{}@{}", r.kit, r.version),
            )
            .await?;
        let kit = versioned(&body.kit, &body.version)?;
        answer(kit::withdraw(&self.hub.node, principal.actor(), kit, &body.reason).await)
    }

    async fn list_kits(&self, request: Request<wire::ListKitsRequest>) -> Answer<wire::Listing> {
        self.enter(request, CENTRE, "hub.list_kits", |_| String::new())
            .await?;
        answer(kit::list(&mut self.read().await?).await.map_err(NodeError::from))
    }

    async fn list_operational_plans(
        &self,
        request: Request<wire::ListOperationalPlansRequest>,
    ) -> Answer<wire::Listing> {
        self.enter(request, CENTRE, "hub.list_operational_plans", |_| String::new())
            .await?;
        answer(po::list(&mut self.read().await?).await.map_err(NodeError::from))
    }

    async fn show_operational_plan(
        &self,
        request: Request<wire::ShowOperationalPlanRequest>,
    ) -> Answer<wire::Sheet> {
        let (_, body) = self
            .enter(
                request,
                CENTRE,
                "hub.show_operational_plan",
                |r: &wire::ShowOperationalPlanRequest| format!("{} {}", r.region, r.version),
            )
            .await?;
        let code = region(&body.region)?;
        answer(po::show(&mut self.read().await?, code, body.version).await)
    }

    async fn record_approved_operational_plan(
        &self,
        request: Request<wire::RecordApprovedOperationalPlanRequest>,
    ) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                APPROVER,
                "hub.record_approved_operational_plan",
                |r: &wire::RecordApprovedOperationalPlanRequest| name_of(&r.document),
            )
            .await?;
        let (file, text) = document(body.document)?;
        let (actor, source) = (principal.actor(), (text.as_str(), file.as_str()));
        answer(
            proposal::record(
                &self.hub.node,
                actor,
                source,
                &body.approved,
                &body.act_number,
                &body.document_name,
            )
            .await,
        )
    }

    async fn decide_operational_plan(
        &self,
        request: Request<wire::DecideOperationalPlanRequest>,
    ) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                APPROVER,
                "hub.decide_operational_plan",
                |r: &wire::DecideOperationalPlanRequest| format!("{} {}", r.region, r.version),
            )
            .await?;
        let decision = proposal::Decision {
            region: region(&body.region)?,
            version: body.version,
            verdict: verdict(body.verdict())?,
            reasons: body.reasons,
        };
        answer(proposal::decide(&self.hub.node, principal.actor(), decision).await)
    }

    async fn confirm_operational_plan(
        &self,
        request: Request<wire::ConfirmOperationalPlanRequest>,
    ) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                APPROVER,
                "hub.confirm_operational_plan",
                |r: &wire::ConfirmOperationalPlanRequest| format!("{} {}", r.region, r.version),
            )
            .await?;
        let code = region(&body.region)?;
        answer(proposal::confirm(&self.hub.node, principal.actor(), code, body.version).await)
    }

    async fn list_proposals(&self, request: Request<wire::ListProposalsRequest>) -> Answer<wire::Listing> {
        self.enter(request, CENTRE, "hub.list_proposals", |_| String::new())
            .await?;
        answer(
            proposal::list(&mut self.read().await?)
                .await
                .map_err(NodeError::from),
        )
    }

    async fn list_executive_plans(
        &self,
        request: Request<wire::ListExecutivePlansRequest>,
    ) -> Answer<wire::Listing> {
        self.enter(request, CENTRE, "hub.list_executive_plans", |_| String::new())
            .await?;
        answer(pe::list(&mut self.read().await?).await.map_err(NodeError::from))
    }

    async fn show_executive_plan(
        &self,
        request: Request<wire::ShowExecutivePlanRequest>,
    ) -> Answer<wire::Sheet> {
        let (_, body) = self
            .enter(
                request,
                CENTRE,
                "hub.show_executive_plan",
                |r: &wire::ShowExecutivePlanRequest| format!("{} {}", r.region, r.year),
            )
            .await?;
        let (code, year) = (region(&body.region)?, year(body.year)?);
        answer(pe::show(&mut self.read().await?, code, year).await)
    }

    async fn observe_executive_plan(
        &self,
        request: Request<wire::ObserveExecutivePlanRequest>,
    ) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                REVIEWER,
                "hub.observe_executive_plan",
                |r: &wire::ObserveExecutivePlanRequest| format!("{} {}", r.region, r.year),
            )
            .await?;
        let (code, year) = (region(&body.region)?, year(body.year)?);
        let observations = observations(body.observations)?;
        answer(pe::observe(&self.hub.node, principal.actor(), code, year, observations).await)
    }

    async fn list_reports(&self, request: Request<wire::ListReportsRequest>) -> Answer<wire::Listing> {
        let (_, body) = self
            .enter(request, CENTRE, "hub.list_reports", |_| String::new())
            .await?;
        answer(
            report::list(&mut self.read().await?, body.pending)
                .await
                .map_err(NodeError::from),
        )
    }

    async fn show_report(&self, request: Request<wire::ShowReportRequest>) -> Answer<wire::Sheet> {
        let (_, body) = self
            .enter(
                request,
                CENTRE,
                "hub.show_report",
                |r: &wire::ShowReportRequest| format!("{} {} {}", r.region, r.period, r.revision),
            )
            .await?;
        let (code, period) = (region(&body.region)?, period(&body.period)?);
        answer(report::show(&mut self.read().await?, code, period, body.revision).await)
    }

    async fn accept_report(&self, request: Request<wire::AcceptReportRequest>) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                REVIEWER,
                "hub.accept_report",
                |r: &wire::AcceptReportRequest| format!("{} {} {}", r.region, r.period, r.revision),
            )
            .await?;
        let (code, period) = (region(&body.region)?, period(&body.period)?);
        let actor = principal.actor();
        answer(
            report::judge(
                &self.hub.node,
                actor,
                code,
                period,
                body.revision,
                Verdict::Accept,
            )
            .await,
        )
    }

    async fn reject_report(&self, request: Request<wire::RejectReportRequest>) -> Answer<wire::Receipt> {
        let (principal, body) = self
            .enter(
                request,
                REVIEWER,
                "hub.reject_report",
                |r: &wire::RejectReportRequest| format!("{} {} {}", r.region, r.period, r.revision),
            )
            .await?;
        let (code, period) = (region(&body.region)?, period(&body.period)?);
        let (actor, verdict) = (principal.actor(), Verdict::Reject(body.reasons));
        answer(report::judge(&self.hub.node, actor, code, period, body.revision, verdict).await)
    }
}

fn verdict(verdict: wire::PoVerdict) -> Result<PoVerdict, Status> {
    match verdict {
        wire::PoVerdict::Approved => Ok(PoVerdict::Approved),
        wire::PoVerdict::ChangesRequested => Ok(PoVerdict::ChangesRequested),
        wire::PoVerdict::Rejected => Ok(PoVerdict::Rejected),
        wire::PoVerdict::Unspecified => {
            Err(Refusal::invalid("`verdict` is missing", "approve, request changes or reject").into())
        }
    }
}

fn observations(found: Vec<wire::Observation>) -> Result<Vec<Observation>, Status> {
    if found.len() > OBSERVATIONS_MAX {
        let text = format!("{} observations", found.len());
        return Err(Refusal::too_large(text, format_args!("send at most {OBSERVATIONS_MAX} at once")).into());
    }
    let one = |o: wire::Observation| {
        let intervention = match o.intervention.as_str() {
            "" => None,
            id => Some(parse(id, "see `pe show`")?),
        };
        Ok(Observation {
            intervention,
            text: o.text,
        })
    };
    found.into_iter().map(one).collect()
}

/// Tells a caller how far the cutting of a kit has come. A caller that reads slowly misses some of it;
/// one that went away misses the rest.
struct Reporter {
    send: mpsc::Sender<Result<wire::PublishKitResponse, Status>>,
    files: AtomicU64,
    total: AtomicU64,
    done: AtomicU64,
}

impl Reporter {
    fn tell(&self, path: &str) {
        let progress = wire::PublishKitProgress {
            files: self.files.load(Ordering::Relaxed),
            bytes_total: self.total.load(Ordering::Relaxed),
            bytes_done: self.done.load(Ordering::Relaxed),
            path: path.into(),
        };
        // One place stays free for the last message.
        if self.send.capacity() > 1 {
            let _ = self.send.try_send(Ok(wire::PublishKitResponse {
                step: Some(Step::Progress(progress)),
            }));
        }
    }
}

impl Progress for Reporter {
    fn begin(&self, files: u64, bytes: u64) {
        self.files.store(files, Ordering::Relaxed);
        self.total.store(bytes, Ordering::Relaxed);
        self.tell("");
    }

    fn advance(&self, path: &str, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.tell(path);
    }
}
