//! `NodeService`: accounts, tokens, the business clock and the state of the exchange, the same at every node.

use crate::{
    account::{self, NodeKind, Role, TokenGrant},
    auth::Authenticator,
    clock::{BusinessClock, Clock, ClockError},
    random::Random,
    status::Refusal,
};
use futures::future::BoxFuture;
use raccordo_model::{
    entry::AccountId,
    node::{Federation, NodeId},
    timestamp::Timestamp,
};
use raccordo_proto::wire::{self, node_service_server::NodeServiceServer};
use raccordo_store::{Db, StoreError};
use std::{fmt, sync::Arc};
use tonic::{Request, Response, Status};

/// Tells how the exchange stands.
pub trait SyncView: Send + Sync {
    /// Sizes, checkpoints, cosigners, quarantine and fences.
    fn status(&self) -> BoxFuture<'_, Result<wire::SyncStatusResponse, StoreError>>;
}

/// What `NodeService` answers from.
pub struct NodeApi {
    /// Accounts and tokens.
    pub db: Db,
    /// Which node this is.
    pub node: NodeId,
    /// Of which federation.
    pub federation: Federation,
    /// Whether it is a test federation.
    pub test: bool,
    /// The system's clock: tokens expire by it.
    pub system: Arc<dyn Clock>,
    /// The business clock of a test federation; `None` in a real one.
    pub business: Option<Arc<BusinessClock>>,
    /// For identifiers and secrets.
    pub random: Arc<dyn Random>,
    /// Who is calling.
    pub authenticator: Authenticator,
    /// How the exchange stands.
    pub sync: Arc<dyn SyncView>,
}

impl fmt::Debug for NodeApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeApi({} {})", self.federation, self.node)
    }
}

/// The service for tonic.
pub fn server(api: Arc<NodeApi>) -> NodeServiceServer<NodeService> {
    NodeServiceServer::new(NodeService(api)).max_decoding_message_size(64 * 1_024)
}

/// Answers `NodeService`.
#[derive(Debug, Clone)]
pub struct NodeService(Arc<NodeApi>);

impl NodeApi {
    /// Which roles there are.
    pub fn kind(&self) -> NodeKind {
        match self.node {
            NodeId::Hub => NodeKind::Hub,
            NodeId::Region(_) => NodeKind::Spoke,
        }
    }

    async fn add_account(&self, request: wire::AddAccountRequest) -> Result<wire::AddAccountResponse, Refusal> {
        let wire::AddAccountRequest { name, institution, roles } = request;
        let account = account::new_account(self.kind(), &name, &institution, &roles, &*self.random)?;
        let mut tx = self.db.write().await?;
        account::insert(&mut tx, &account, self.system.now()).await?;
        tx.commit().await?;
        Ok(wire::AddAccountResponse { account: account.id.to_string() })
    }

    async fn list_accounts(&self) -> Result<wire::ListAccountsResponse, Refusal> {
        let mut tx = self.db.read().await?;
        let accounts = account::list(&mut tx).await?.into_iter().map(|account| wire::Account {
            account: account.id.to_string(),
            name: account.name,
            institution: account.institution,
            roles: names(&account.roles),
        });
        Ok(wire::ListAccountsResponse { accounts: accounts.collect() })
    }

    async fn issue_token(&self, request: wire::IssueTokenRequest) -> Result<wire::IssueTokenResponse, Refusal> {
        let wire::IssueTokenRequest { account, roles, valid_days, areas, clusters } = request;
        let short: String = account.chars().take(64).collect();
        let account: AccountId = short.parse().map_err(|e| Refusal::invalid(e, "see `account list`"))?;
        let grant = TokenGrant { account, roles, areas, clusters, valid_days };
        let mut tx = self.db.write().await?;
        let token = account::issue(&mut tx, &grant, self.system.now(), &*self.random).await?;
        tx.commit().await?;
        Ok(wire::IssueTokenResponse {
            token_id: token.id,
            secret: token.secret.to_string(),
            expires_at_us: token.expires.0,
        })
    }

    async fn revoke_token(&self, token_id: &str) -> Result<(), Refusal> {
        let mut tx = self.db.write().await?;
        account::revoke(&mut tx, token_id).await?;
        Ok(tx.commit().await?)
    }

    async fn set_clock(&self, instant: &str) -> Result<wire::SetClockResponse, Refusal> {
        let short: String = instant.chars().take(64).collect();
        let to = Timestamp::parse(&short).map_err(|e| Refusal::invalid(e, "write it in RFC 3339, with Z or an offset"))?;
        let clock = self.business.as_ref().ok_or_else(|| {
            Refusal::precondition(
                "this is a real federation: its clock is the system's",
                "only a test federation, made by `init --test`, has a business clock",
            )
        })?;
        clock.set(&self.db, to).await.map_err(|error| match error {
            ClockError::Backwards { .. } => Refusal::precondition(error, "write a later instant"),
            ClockError::Store(error) => error.into(),
        })?;
        Ok(wire::SetClockResponse { instant: clock.now().to_string() })
    }
}

fn names(roles: &std::collections::BTreeSet<Role>) -> Vec<String> {
    roles.iter().map(Role::to_string).collect()
}

const ADMINISTRATOR: &[Role] = &[Role::Administrator];

#[tonic::async_trait]
impl wire::node_service_server::NodeService for NodeService {
    async fn who_am_i(
        &self,
        request: Request<wire::WhoAmIRequest>,
    ) -> Result<Response<wire::WhoAmIResponse>, Status> {
        let api = &self.0;
        let principal = api.authenticator.enter(request.metadata(), &[], "node.who_am_i", "").await?;
        Ok(Response::new(wire::WhoAmIResponse {
            account: principal.account.to_string(),
            roles: names(&principal.roles),
            name: principal.name,
            institution: principal.institution,
            expires_at_us: principal.expires.0,
            node: api.node.to_string(),
            federation: api.federation.to_string(),
            test: api.test,
        }))
    }

    async fn add_account(
        &self,
        request: Request<wire::AddAccountRequest>,
    ) -> Result<Response<wire::AddAccountResponse>, Status> {
        let (metadata, _, body) = request.into_parts();
        let detail = format!("{} {}", body.institution, body.roles.join(" "));
        self.0.authenticator.enter(&metadata, ADMINISTRATOR, "node.add_account", &detail).await?;
        Ok(Response::new(self.0.add_account(body).await?))
    }

    async fn list_accounts(
        &self,
        request: Request<wire::ListAccountsRequest>,
    ) -> Result<Response<wire::ListAccountsResponse>, Status> {
        self.0.authenticator.enter(request.metadata(), ADMINISTRATOR, "node.list_accounts", "").await?;
        Ok(Response::new(self.0.list_accounts().await?))
    }

    async fn issue_token(
        &self,
        request: Request<wire::IssueTokenRequest>,
    ) -> Result<Response<wire::IssueTokenResponse>, Status> {
        let (metadata, _, body) = request.into_parts();
        let detail = format!("{} {}", body.account, body.roles.join(" "));
        self.0.authenticator.enter(&metadata, ADMINISTRATOR, "node.issue_token", &detail).await?;
        Ok(Response::new(self.0.issue_token(body).await?))
    }

    async fn revoke_token(
        &self,
        request: Request<wire::RevokeTokenRequest>,
    ) -> Result<Response<wire::RevokeTokenResponse>, Status> {
        let (metadata, _, body) = request.into_parts();
        self.0.authenticator.enter(&metadata, ADMINISTRATOR, "node.revoke_token", &body.token_id).await?;
        self.0.revoke_token(&body.token_id).await?;
        Ok(Response::new(wire::RevokeTokenResponse {}))
    }

    async fn set_clock(
        &self,
        request: Request<wire::SetClockRequest>,
    ) -> Result<Response<wire::SetClockResponse>, Status> {
        let (metadata, _, body) = request.into_parts();
        self.0.authenticator.enter(&metadata, ADMINISTRATOR, "node.set_clock", &body.instant).await?;
        Ok(Response::new(self.0.set_clock(&body.instant).await?))
    }

    async fn sync_status(
        &self,
        request: Request<wire::SyncStatusRequest>,
    ) -> Result<Response<wire::SyncStatusResponse>, Status> {
        self.0.authenticator.enter(request.metadata(), &[], "node.sync_status", "").await?;
        Ok(Response::new(self.0.sync.status().await.map_err(Refusal::from)?))
    }
}
