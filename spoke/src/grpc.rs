//! The operators' API: who may do what, and the way from wire types to the rooms and back.

use crate::{adoption, catalogue, content, editions, federation::Spoke, outcomes, plans, records, reports};
use raccordo_model::{outcome::CSV_BYTES_MAX, period::Period};
use raccordo_node::{
    NodeError,
    account::Role,
    auth::{Authenticator, Principal},
    status::Refusal,
};
use raccordo_proto::wire::{
    self,
    spoke_administration_service_server::{SpokeAdministrationService, SpokeAdministrationServiceServer},
};
use raccordo_store::Tx;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// Largest request, in bytes: a document of 1 MiB with its names.
const REQUEST_BYTES_MAX: usize = 1_024 * 1_024 + 64 * 1_024;
/// Largest piece of a streamed file, in bytes.
pub const PIECE_BYTES_MAX: usize = 512 * 1_024;
/// Longest name of a file, in bytes.
const FILE_NAME_MAX: usize = 200;

const ANYBODY: &[Role] = &[];
const PLANNER: &[Role] = &[Role::Planner];
const RECORDER: &[Role] = &[Role::Recorder];
const MANAGER: &[Role] = &[Role::Manager];
const PLANNER_OR_RECORDER: &[Role] = &[Role::Planner, Role::Recorder];

/// Answers `SpokeAdministrationService`.
pub struct Administration {
    spoke: Arc<Spoke>,
    authenticator: Authenticator,
}

/// The service for tonic.
pub fn server(
    spoke: Arc<Spoke>,
    authenticator: Authenticator,
) -> SpokeAdministrationServiceServer<Administration> {
    SpokeAdministrationServiceServer::new(Administration { spoke, authenticator })
        .max_decoding_message_size(REQUEST_BYTES_MAX)
}

type Answer<T> = Result<Response<T>, Status>;

/// The one map from what goes wrong in a node to what a caller reads.
fn refuse(error: NodeError) -> Status {
    match error {
        NodeError::Refused(refusal) => refusal.into(),
        NodeError::Store(error) => Refusal::from(error).into(),
        unreadable @ NodeError::Unreadable { .. } => Refusal::internal(&unreadable).into(),
    }
}

fn answer<T>(outcome: Result<T, NodeError>) -> Answer<T> {
    outcome.map(Response::new).map_err(refuse)
}

/// A name from outside, as errors and logs may show it.
fn file_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    match &name[..name.floor_char_boundary(FILE_NAME_MAX)] {
        "" => "document".into(),
        name => name.into(),
    }
}

fn period(text: &str) -> Result<Period, Status> {
    text.parse()
        .map_err(|e| Refusal::invalid(e, "for example 2023-11").into())
}

impl Administration {
    /// Who it is, whether they may, and a line in the access log.
    async fn enter<T>(
        &self,
        request: Request<T>,
        roles: &[Role],
        method: &'static str,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<(Principal, T), Status> {
        let (metadata, _, body) = request.into_parts();
        let principal = self
            .authenticator
            .enter(&metadata, roles, method, &detail(&body))
            .await?;
        Ok((principal, body))
    }

    async fn read(&self) -> Result<Tx, Status> {
        self.spoke
            .node
            .db
            .read()
            .await
            .map_err(|e| Refusal::from(e).into())
    }
}

#[tonic::async_trait]
impl SpokeAdministrationService for Administration {
    async fn list_catalogue(&self, request: Request<wire::ListCatalogueRequest>) -> Answer<wire::Listing> {
        self.enter(request, ANYBODY, "spoke.list_catalogue", |_| String::new())
            .await?;
        answer(catalogue::list(&mut self.read().await?).await)
    }

    async fn adopt_kit(&self, request: Request<wire::AdoptKitRequest>) -> Answer<wire::Receipt> {
        let detail = |r: &wire::AdoptKitRequest| format!("{}@{} {}", r.kit, r.version, r.state);
        let (principal, body) = self.enter(request, PLANNER, "spoke.adopt_kit", detail).await?;
        let id = records::versioned(&body.kit, &body.version)?;
        let name = if body.state.is_empty() {
            "adopted"
        } else {
            body.state.as_str()
        };
        let state = catalogue::adoption_state(name).ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
            let remedy = "write acknowledged, adopted, localised or not_applicable";
            Status::from(Refusal::invalid(
                format_args!("`{shown}` is not a state of an adoption"),
                remedy,
            ))
        })?;
        answer(adoption::adopt(&self.spoke.node, principal.actor(), &id, state, &body.reason).await)
    }

    async fn export_kit(&self, request: Request<wire::ExportKitRequest>) -> Answer<wire::ExportKitResponse> {
        let detail = |r: &wire::ExportKitRequest| format!("{}@{} {}", r.kit, r.version, r.directory);
        let (_, body) = self
            .enter(request, PLANNER_OR_RECORDER, "spoke.export_kit", detail)
            .await?;
        let id = records::versioned(&body.kit, &body.version)?;
        answer(content::export(&self.spoke.node, &self.spoke.content, &id, &body.directory).await)
    }

    async fn verify_kit(&self, request: Request<wire::VerifyKitRequest>) -> Answer<wire::Listing> {
        let detail = |r: &wire::VerifyKitRequest| format!("{}@{}", r.kit, r.version);
        let (_, body) = self.enter(request, ANYBODY, "spoke.verify_kit", detail).await?;
        let id = records::versioned(&body.kit, &body.version)?;
        answer(content::verify(&self.spoke.node, &self.spoke.content, &id).await)
    }

    async fn import_operational_plan(
        &self,
        request: Request<wire::ImportOperationalPlanRequest>,
    ) -> Answer<wire::ImportOperationalPlanResponse> {
        let detail = |r: &wire::ImportOperationalPlanRequest| file_name(&r.file_name);
        let (_, body) = self
            .enter(request, PLANNER, "spoke.import_operational_plan", detail)
            .await?;
        answer(plans::po::import(&self.spoke.node, &body.yaml, &file_name(&body.file_name)).await)
    }

    async fn submit_operational_plan(
        &self,
        request: Request<wire::SubmitOperationalPlanRequest>,
    ) -> Answer<wire::Receipt> {
        let detail = |r: &wire::SubmitOperationalPlanRequest| r.personal_data_reason.clone();
        let (principal, body) = self
            .enter(request, MANAGER, "spoke.submit_operational_plan", detail)
            .await?;
        answer(plans::po::submit(&self.spoke.node, principal.actor(), &body.personal_data_reason).await)
    }

    async fn list_own_operational_plans(
        &self,
        request: Request<wire::ListOwnOperationalPlansRequest>,
    ) -> Answer<wire::Listing> {
        self.enter(request, ANYBODY, "spoke.list_own_operational_plans", |_| {
            String::new()
        })
        .await?;
        answer(plans::po::list(&mut self.read().await?, self.spoke.node.me()).await)
    }

    async fn show_own_operational_plan(
        &self,
        request: Request<wire::ShowOwnOperationalPlanRequest>,
    ) -> Answer<wire::ShowOwnOperationalPlanResponse> {
        let detail = |r: &wire::ShowOwnOperationalPlanRequest| r.version.to_string();
        let (_, body) = self
            .enter(request, ANYBODY, "spoke.show_own_operational_plan", detail)
            .await?;
        answer(plans::po::show(&mut self.read().await?, self.spoke.node.me(), body.version).await)
    }

    async fn import_executive_plan(
        &self,
        request: Request<wire::ImportExecutivePlanRequest>,
    ) -> Answer<wire::ImportExecutivePlanResponse> {
        let detail = |r: &wire::ImportExecutivePlanRequest| file_name(&r.file_name);
        let (_, body) = self
            .enter(request, PLANNER, "spoke.import_executive_plan", detail)
            .await?;
        answer(plans::pe::import(&self.spoke.node, &body.yaml, &file_name(&body.file_name)).await)
    }

    async fn share_executive_plan(
        &self,
        request: Request<wire::ShareExecutivePlanRequest>,
    ) -> Answer<wire::Receipt> {
        let detail = |r: &wire::ShareExecutivePlanRequest| format!("{} {}", r.year, r.personal_data_reason);
        let (principal, body) = self
            .enter(request, MANAGER, "spoke.share_executive_plan", detail)
            .await?;
        let (node, reason) = (&self.spoke.node, &body.personal_data_reason);
        answer(plans::pe::share(node, principal.actor(), body.year, reason).await)
    }

    async fn list_own_executive_plans(
        &self,
        request: Request<wire::ListOwnExecutivePlansRequest>,
    ) -> Answer<wire::Listing> {
        self.enter(request, ANYBODY, "spoke.list_own_executive_plans", |_| {
            String::new()
        })
        .await?;
        answer(plans::pe::list(&mut self.read().await?, self.spoke.node.me()).await)
    }

    async fn show_own_executive_plan(
        &self,
        request: Request<wire::ShowOwnExecutivePlanRequest>,
    ) -> Answer<wire::ShowOwnExecutivePlanResponse> {
        let detail = |r: &wire::ShowOwnExecutivePlanRequest| format!("{} {}", r.year, r.version);
        let (_, body) = self
            .enter(request, ANYBODY, "spoke.show_own_executive_plan", detail)
            .await?;
        answer(
            plans::pe::show(
                &mut self.read().await?,
                self.spoke.node.me(),
                body.year,
                body.version,
            )
            .await,
        )
    }

    async fn add_edition(
        &self,
        request: Request<wire::AddEditionRequest>,
    ) -> Answer<wire::AddEditionResponse> {
        let detail = |r: &wire::AddEditionRequest| r.id.chars().take(60).collect();
        let (_, body) = self
            .enter(request, PLANNER_OR_RECORDER, "spoke.add_edition", detail)
            .await?;
        let wire::AddEditionRequest {
            id,
            intervention,
            start,
            end,
            kit,
            test,
            minutes,
            objective,
        } = body;
        let parsed = editions::parse(&[&id, &intervention, &start, &end, &kit], minutes, &objective);
        let new = parsed.map_err(|faults| one_edition(&faults, false))?;
        let new = editions::NewEdition { test, ..new };
        let imported = editions::add(&self.spoke.node, vec![(1, new)])
            .await
            .map_err(refuse)?;
        let faults: Vec<_> = imported.errors.into_iter().map(|(_, fault)| fault).collect();
        if !faults.is_empty() {
            return Err(one_edition(&faults, faults.iter().all(|f| f.field == "id")));
        }
        self.spoke.nudge.notify_one();
        let text = format!("Edizione {id} registrata");
        Ok(Response::new(wire::AddEditionResponse {
            text,
            repeated: imported.unchanged > 0,
        }))
    }

    async fn import_editions(
        &self,
        request: Request<wire::ImportEditionsRequest>,
    ) -> Answer<wire::ImportEditionsResponse> {
        let detail =
            |r: &wire::ImportEditionsRequest| format!("{} {} bytes", file_name(&r.file_name), r.csv.len());
        let (_, body) = self
            .enter(request, PLANNER_OR_RECORDER, "spoke.import_editions", detail)
            .await?;
        if body.csv.len() > editions::CSV_BYTES_MAX {
            let (found, most) = (body.csv.len(), editions::CSV_BYTES_MAX);
            let text = format_args!("the document has {found} bytes, at most {most} are read");
            return Err(Refusal::too_large(text, "split the document").into());
        }
        let file = file_name(&body.file_name);
        let imported = match editions::parse_csv(&body.csv) {
            Ok(rows) => editions::add(&self.spoke.node, rows).await.map_err(refuse)?,
            Err(errors) => editions::Imported {
                errors,
                ..Default::default()
            },
        };
        self.spoke.nudge.notify_one();
        Ok(Response::new(wire::ImportEditionsResponse {
            accepted: imported.accepted,
            unchanged: imported.unchanged,
            errors: Some(editions::errors(&file, &imported.errors)),
        }))
    }

    async fn list_editions(&self, request: Request<wire::ListEditionsRequest>) -> Answer<wire::Listing> {
        let (_, body) = self
            .enter(request, ANYBODY, "spoke.list_editions", |_| String::new())
            .await?;
        answer(editions::list(&mut self.read().await?, &self.spoke.node, body.year).await)
    }

    async fn import_outcomes(
        &self,
        request: Request<Streaming<wire::ImportOutcomesRequest>>,
    ) -> Answer<wire::ImportOutcomesResponse> {
        let (metadata, _, mut pieces) = request.into_parts();
        // Before the first byte is taken in: it is known who sends it, and that they may.
        self.authenticator
            .enter(&metadata, RECORDER, "spoke.import_outcomes", "")
            .await?;
        let first = pieces.message().await?.unwrap_or_default();
        let (file, correction) = (
            file_name(&first.file_name),
            first.correction_reason.trim().to_owned(),
        );
        let mut bytes = first.data;
        admit_piece(bytes.len(), 0)?;
        while let Some(piece) = pieces.message().await? {
            admit_piece(piece.data.len(), bytes.len())?;
            bytes.extend_from_slice(&piece.data);
        }
        let kind = if correction.is_empty() {
            String::new()
        } else {
            format!(", correction: {correction}")
        };
        let detail = format!("{file}, {} bytes{kind}", bytes.len());
        self.authenticator
            .enter(&metadata, RECORDER, "spoke.import_outcomes", &detail)
            .await?;
        let imported = outcomes::import(&self.spoke.node, bytes, &file, !correction.is_empty()).await;
        answer(imported.map(|imported| outcomes::answer(&imported)))
    }

    async fn preview_report(
        &self,
        request: Request<wire::PreviewReportRequest>,
    ) -> Answer<wire::PreviewReportResponse> {
        let detail = |r: &wire::PreviewReportRequest| r.period.chars().take(10).collect();
        let (_, body) = self
            .enter(request, ANYBODY, "spoke.preview_report", detail)
            .await?;
        let period = period(&body.period)?;
        answer(reports::preview(&mut self.read().await?, self.spoke.node.me(), period).await)
    }

    async fn close_report(&self, request: Request<wire::CloseReportRequest>) -> Answer<wire::Receipt> {
        let detail = |r: &wire::CloseReportRequest| r.period.chars().take(10).collect();
        let (principal, body) = self.enter(request, MANAGER, "spoke.close_report", detail).await?;
        let period = period(&body.period)?;
        answer(reports::close(&self.spoke.node, principal.actor(), period, &body.reason).await)
    }

    async fn list_own_reports(&self, request: Request<wire::ListOwnReportsRequest>) -> Answer<wire::Listing> {
        self.enter(request, ANYBODY, "spoke.list_own_reports", |_| String::new())
            .await?;
        answer(reports::list(&mut self.read().await?, self.spoke.node.me()).await)
    }
}

/// Refuses a piece that is too long, or one that makes the file too long.
fn admit_piece(piece: usize, before: usize) -> Result<(), Refusal> {
    if piece > PIECE_BYTES_MAX {
        let text = format_args!("a piece of {piece} bytes, at most {PIECE_BYTES_MAX} are taken");
        return Err(Refusal::too_large(text, "send smaller pieces"));
    }
    if before + piece > CSV_BYTES_MAX {
        return Err(Refusal::too_large(
            format_args!("more than {CSV_BYTES_MAX} bytes"),
            "split the file",
        ));
    }
    Ok(())
}

/// The faults of one edition as a refusal; one that is recorded with other content is a conflict.
fn one_edition(faults: &[editions::Fault], is_recorded: bool) -> Status {
    let lines: Vec<String> = faults
        .iter()
        .map(|f| format!("{}: {}; {}", f.field, f.problem, f.remedy))
        .collect();
    let text = records::problems(&lines);
    let remedy = "correct it and add the edition again";
    match is_recorded {
        true => Refusal::conflict(text, remedy).into(),
        false => Refusal::invalid(text, remedy).into(),
    }
}
