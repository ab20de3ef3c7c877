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

    async fn add_account(
        &self,
        request: wire::AddAccountRequest,
    ) -> Result<wire::AddAccountResponse, Refusal> {
        let wire::AddAccountRequest {
            name,
            institution,
            roles,
        } = request;
        let account = account::new_account(self.kind(), &name, &institution, &roles, &*self.random)?;
        let mut tx = self.db.write().await?;
        account::insert(&mut tx, &account, self.system.now()).await?;
        tx.commit().await?;
        Ok(wire::AddAccountResponse {
            account: account.id.to_string(),
        })
    }

    async fn list_accounts(&self) -> Result<wire::ListAccountsResponse, Refusal> {
        let mut tx = self.db.read().await?;
        let accounts = account::list(&mut tx)
            .await?
            .into_iter()
            .map(|account| wire::Account {
                account: account.id.to_string(),
                name: account.name,
                institution: account.institution,
                roles: names(&account.roles),
            });
        Ok(wire::ListAccountsResponse {
            accounts: accounts.collect(),
        })
    }

    async fn issue_token(
        &self,
        request: wire::IssueTokenRequest,
    ) -> Result<wire::IssueTokenResponse, Refusal> {
        let wire::IssueTokenRequest {
            account,
            roles,
            valid_days,
            areas,
            clusters,
        } = request;
        let short: String = account.chars().take(64).collect();
        let account: AccountId = short
            .parse()
            .map_err(|e| Refusal::invalid(e, "see `account list`"))?;
        let grant = TokenGrant {
            account,
            roles,
            areas,
            clusters,
            valid_days,
        };
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
        let to = Timestamp::parse(&short)
            .map_err(|e| Refusal::invalid(e, "write it in RFC 3339, with Z or an offset"))?;
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
        Ok(wire::SetClockResponse {
            instant: clock.now().to_string(),
        })
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
        let principal = api
            .authenticator
            .enter(request.metadata(), &[], "node.who_am_i", "")
            .await?;
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
        self.0
            .authenticator
            .enter(&metadata, ADMINISTRATOR, "node.add_account", &detail)
            .await?;
        Ok(Response::new(self.0.add_account(body).await?))
    }

    async fn list_accounts(
        &self,
        request: Request<wire::ListAccountsRequest>,
    ) -> Result<Response<wire::ListAccountsResponse>, Status> {
        self.0
            .authenticator
            .enter(request.metadata(), ADMINISTRATOR, "node.list_accounts", "")
            .await?;
        Ok(Response::new(self.0.list_accounts().await?))
    }

    async fn issue_token(
        &self,
        request: Request<wire::IssueTokenRequest>,
    ) -> Result<Response<wire::IssueTokenResponse>, Status> {
        let (metadata, _, body) = request.into_parts();
        let detail = format!("{} {}", body.account, body.roles.join(" "));
        self.0
            .authenticator
            .enter(&metadata, ADMINISTRATOR, "node.issue_token", &detail)
            .await?;
        Ok(Response::new(self.0.issue_token(body).await?))
    }

    async fn revoke_token(
        &self,
        request: Request<wire::RevokeTokenRequest>,
    ) -> Result<Response<wire::RevokeTokenResponse>, Status> {
        let (metadata, _, body) = request.into_parts();
        self.0
            .authenticator
            .enter(&metadata, ADMINISTRATOR, "node.revoke_token", &body.token_id)
            .await?;
        self.0.revoke_token(&body.token_id).await?;
        Ok(Response::new(wire::RevokeTokenResponse {}))
    }

    async fn set_clock(
        &self,
        request: Request<wire::SetClockRequest>,
    ) -> Result<Response<wire::SetClockResponse>, Status> {
        let (metadata, _, body) = request.into_parts();
        self.0
            .authenticator
            .enter(&metadata, ADMINISTRATOR, "node.set_clock", &body.instant)
            .await?;
        Ok(Response::new(self.0.set_clock(&body.instant).await?))
    }

    async fn sync_status(
        &self,
        request: Request<wire::SyncStatusRequest>,
    ) -> Result<Response<wire::SyncStatusResponse>, Status> {
        self.0
            .authenticator
            .enter(request.metadata(), &[], "node.sync_status", "")
            .await?;
        Ok(Response::new(self.0.sync.status().await.map_err(Refusal::from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, random::SeededRandom, status::remedy_of};
    use tonic::Code;
    use wire::node_service_server::NodeService as _;

    struct Nothing;

    impl SyncView for Nothing {
        fn status(&self) -> BoxFuture<'_, Result<wire::SyncStatusResponse, StoreError>> {
            Box::pin(async { Ok(wire::SyncStatusResponse::default()) })
        }
    }

    fn call<T>(token: &str, body: T) -> Request<T> {
        let mut request = Request::new(body);
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    async fn node(folder: &tempfile::TempDir, test: bool) -> (NodeService, String) {
        let db = Db::open(&format!("sqlite:{}", folder.path().join("a.db").display()))
            .await
            .unwrap();
        db.migrate(account::LOCAL).await.unwrap();
        let system: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_seconds(1_000)));
        let random = Arc::new(SeededRandom::new(9));
        let start = Timestamp::parse("2023-01-01T00:00:00Z").unwrap();
        let roles = ["administrator".to_owned()];
        let boss = account::new_account(NodeKind::Hub, "Capo", "MDS", &roles, &*random).unwrap();
        let grant = TokenGrant {
            account: boss.id,
            roles: vec![],
            areas: vec![],
            clusters: vec![],
            valid_days: 2,
        };
        let mut tx = db.write().await.unwrap();
        account::insert(&mut tx, &boss, system.now()).await.unwrap();
        let token = account::issue(&mut tx, &grant, system.now(), &*random)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let api = NodeApi {
            authenticator: Authenticator::new(db.clone(), system.clone()),
            db,
            node: NodeId::Hub,
            federation: "prova".parse().unwrap(),
            test,
            business: test.then(|| Arc::new(BusinessClock::starting_at(system.clone(), start))),
            system,
            random,
            sync: Arc::new(Nothing),
        };
        (NodeService(Arc::new(api)), token.secret.to_string())
    }

    #[tokio::test]
    async fn administrators_add_people_and_tokens_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let (node, boss) = node(&folder, true).await;
        let add = wire::AddAccountRequest {
            name: "Ada".into(),
            institution: "DTD".into(),
            roles: vec!["approver".into()],
        };
        let account = node
            .add_account(call(&boss, add.clone()))
            .await
            .unwrap()
            .into_inner()
            .account;
        let issue = wire::IssueTokenRequest {
            account: account.clone(),
            valid_days: 30,
            ..Default::default()
        };
        let token = node
            .issue_token(call(&boss, issue.clone()))
            .await
            .unwrap()
            .into_inner();
        let me = node
            .who_am_i(call(&token.secret, wire::WhoAmIRequest {}))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (me.account, me.institution.as_str(), me.node.as_str(), me.test),
            (account, "DTD", "hub", true)
        );
        assert_eq!(me.roles, ["approver"]);

        let status = node.add_account(call(&token.secret, add)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains("administrator") && !remedy_of(&status).is_empty());
        let status = node.issue_token(call(&token.secret, issue)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        let listed = node
            .list_accounts(call(&boss, wire::ListAccountsRequest {}))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(listed.accounts.len(), 2);

        let revoke = wire::RevokeTokenRequest {
            token_id: token.token_id,
        };
        node.revoke_token(call(&boss, revoke)).await.unwrap();
        let status = node
            .sync_status(call(&token.secret, wire::SyncStatusRequest {}))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        node.sync_status(call(&boss, wire::SyncStatusRequest {}))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_clock_is_set_forward_in_a_test_federation_only() {
        let (folder, real_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (node_, boss) = node(&folder, true).await;
        let set = |instant: &str| {
            call(
                &boss,
                wire::SetClockRequest {
                    instant: instant.into(),
                },
            )
        };
        let answer = node_
            .set_clock(set("2023-02-01T01:00:00+01:00"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.instant, "2023-02-01T00:00:00Z");
        assert_eq!(
            node_
                .set_clock(set("2023-01-31T00:00:00Z"))
                .await
                .unwrap_err()
                .code(),
            Code::FailedPrecondition
        );
        assert_eq!(
            node_.set_clock(set("domani")).await.unwrap_err().code(),
            Code::InvalidArgument
        );
        let (real, boss) = node(&real_folder, false).await;
        let request = call(
            &boss,
            wire::SetClockRequest {
                instant: "2024-01-01T00:00:00Z".into(),
            },
        );
        assert_eq!(
            real.set_clock(request).await.unwrap_err().code(),
            Code::FailedPrecondition
        );
    }
}
