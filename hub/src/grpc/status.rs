//! What readers pull: the consolidated status and the fleet.

use super::{ANSWER_BYTES_MAX, Answer, REQUEST_BYTES_MAX, enter, period, region};
use crate::{
    federation::Hub,
    fleet::{FleetRow, fleet},
    regions::refusal,
    status::{self as consolidated, Freshness, Question, RegionStatus},
};
use raccordo_node::{account::Role, auth::Authenticator, status::Refusal};
use raccordo_proto::{
    report::consolidated_row_to_wire,
    wire::{
        self,
        status_service_server::{StatusService, StatusServiceServer},
    },
};
use std::sync::Arc;
use tonic::{Request, Response};

/// Observers, within their token's areas and clusters, and everyone at the centre.
const READERS: &[Role] = &[
    Role::Observer,
    Role::Publisher,
    Role::Reviewer,
    Role::Approver,
    Role::Administrator,
];

/// Answers `StatusService`.
pub struct StatusReader {
    hub: Arc<Hub>,
    authenticator: Authenticator,
}

/// The readers' service for tonic.
pub fn status(hub: Arc<Hub>, authenticator: Authenticator) -> StatusServiceServer<StatusReader> {
    StatusServiceServer::new(StatusReader { hub, authenticator })
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(ANSWER_BYTES_MAX)
}

#[tonic::async_trait]
impl StatusService for StatusReader {
    async fn consolidated(
        &self,
        request: Request<wire::ConsolidatedRequest>,
    ) -> Answer<wire::ConsolidatedResponse> {
        let detail = |r: &wire::ConsolidatedRequest| format!("{} {}", r.period, r.region);
        let (principal, body) = enter(
            &self.authenticator,
            request,
            READERS,
            "status.consolidated",
            detail,
        )
        .await?;
        let question = Question {
            period: (!body.period.is_empty())
                .then(|| period(&body.period))
                .transpose()?,
            region: (!body.region.is_empty())
                .then(|| region(&body.region))
                .transpose()?,
            areas: principal.areas,
            clusters: principal.clusters,
        };
        let node = &self.hub.node;
        let now = node.clock.now();
        let mut tx = node.db.read().await.map_err(Refusal::from)?;
        let found = consolidated::answer(&mut tx, &question, now)
            .await
            .map_err(refusal)?;
        Ok(Response::new(wire::ConsolidatedResponse {
            federation: node.identity.federation.to_string(),
            test: node.identity.test,
            period: found.period.to_string(),
            ledger_size: found.ledger_size,
            checkpoint: found.checkpoint,
            regions_reporting: found.regions_reporting.0,
            regions_total: found.regions_reporting.1,
            regions: found.regions.into_iter().map(region_status).collect(),
            rows: found.rows.iter().map(consolidated_row_to_wire).collect(),
            as_of_us: now.0,
        }))
    }

    async fn fleet(&self, request: Request<wire::FleetRequest>) -> Answer<wire::FleetResponse> {
        enter(&self.authenticator, request, READERS, "status.fleet", |_| {
            String::new()
        })
        .await?;
        let node = &self.hub.node;
        let mut tx = node.db.read().await.map_err(Refusal::from)?;
        let (ledger_size, rows) = fleet(&mut tx, &self.hub.peers).await.map_err(Refusal::from)?;
        Ok(Response::new(wire::FleetResponse {
            federation: node.identity.federation.to_string(),
            test: node.identity.test,
            ledger_size,
            as_of_us: node.clock.now().0,
            rows: rows.into_iter().map(fleet_row).collect(),
        }))
    }
}

fn region_status(status: RegionStatus) -> wire::RegionStatus {
    let freshness = match status.freshness {
        Freshness::Confirmed => wire::Freshness::Confirmed,
        Freshness::Stale => wire::Freshness::Stale,
        Freshness::Missing => wire::Freshness::Missing,
    };
    let (period, revision, index) = status
        .source
        .map_or((String::new(), 0, 0), |(period, revision, index)| {
            (period.to_string(), revision, index)
        });
    wire::RegionStatus {
        region: status.region.to_string(),
        name: status.name,
        freshness: freshness.into(),
        period,
        revision,
        index,
        age_days: status.age_days,
        on_time: status.on_time,
    }
}

fn fleet_row(row: FleetRow) -> wire::FleetRow {
    let (kit, version) = row.kit.unwrap_or_default();
    wire::FleetRow {
        region: row.region.to_string(),
        name: row.name,
        kit,
        version,
        phase: row.phase,
        adoption: row.adoption,
        phase_at_us: row.phase_at.map_or(0, |at| at.0),
        cosigned: row.cosigned,
        last_contact_us: row.last_contact.map_or(0, |at| at.0),
        connected: row.connected,
    }
}
