//! Who is calling: a bearer token becomes a principal, and every call leaves a line in the access log.
//!
//! Expiry goes by the system clock, also in a test federation.

use crate::{
    account::{Role, token},
    clock::Clock,
    status::Refusal,
};
use raccordo_model::{
    entry::{AccountId, Actor},
    timestamp::Timestamp,
};
use raccordo_store::{Db, StoreError};
use std::{collections::BTreeSet, sync::Arc};
use tonic::{Status, metadata::MetadataMap};

pub(crate) const RECORD: &str = "INSERT INTO local_access (at_us, token_id, account, method, detail)
    VALUES ($1, $2, $3, $4, $5)";

/// Every SQL text of the access log, so that a test prepares each on both databases.
pub const STATEMENTS: &[&str] = &[RECORD];

/// Longest detail of a line of the access log, in bytes.
pub const DETAIL_MAX: usize = 500;

/// Whoever a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person.
    pub account: AccountId,
    /// Shown on this node only.
    pub name: String,
    /// Code of the institution.
    pub institution: String,
    /// What the token may do.
    pub roles: BTreeSet<Role>,
    /// Names the token.
    pub token_id: String,
    /// Areas that it may read; empty: all.
    pub areas: BTreeSet<String>,
    /// Clusters that it may read; empty: all.
    pub clusters: BTreeSet<String>,
    /// When the token ends, by the system clock.
    pub expires: Timestamp,
}

impl Principal {
    /// The person as an author of an entry.
    pub fn actor(&self) -> Actor {
        Actor {
            account: self.account,
            institution: self.institution.clone(),
        }
    }
}

/// Refuses unless the principal has the role.
pub fn require(principal: &Principal, role: Role) -> Result<(), Refusal> {
    require_any(principal, &[role])
}

/// Refuses unless the principal has one of the roles.
pub fn require_any(principal: &Principal, roles: &[Role]) -> Result<(), Refusal> {
    if roles.iter().any(|r| principal.roles.contains(r)) {
        return Ok(());
    }
    let wanted = roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(" or ");
    Err(Refusal::forbidden(
        format_args!("this needs the role {wanted}, which the token does not have"),
        "use a token of an account with that role; an administrator issues it with `token issue`",
    ))
}

/// Turns tokens into principals. Cloning shares the database.
#[derive(Debug, Clone)]
pub struct Authenticator {
    db: Db,
    system: Arc<dyn Clock>,
}

impl Authenticator {
    /// Over the accounts in `db`; `system` is the system's clock, not the business clock.
    pub fn new(db: Db, system: Arc<dyn Clock>) -> Self {
        Self { db, system }
    }

    /// The principal of a call, by `authorization: Bearer <token>`.
    pub async fn principal(&self, metadata: &MetadataMap) -> Result<Principal, Status> {
        let header = metadata.get("authorization").and_then(|v| v.to_str().ok());
        Ok(self.of_header(header).await?)
    }

    /// The principal of an `authorization` header, for HTTP.
    pub async fn of_header(&self, header: Option<&str>) -> Result<Principal, Refusal> {
        let token = header
            .and_then(|h| h.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else {
            return Err(Refusal::unauthenticated(
                "the call carries no token",
                "give one by --token-file or RACCORDO_TOKEN; an administrator issues it with `token issue`",
            ));
        };
        self.of_token(token.trim()).await
    }

    /// The principal of a token.
    pub async fn of_token(&self, token: &str) -> Result<Principal, Refusal> {
        let mut tx = self.db.read().await?;
        // Not found and wrong secret look the same from outside.
        let (Some(id), Some(found)) = (token::token_id(token), token::find(&mut tx, token).await?) else {
            return Err(Refusal::unauthenticated(
                "the token is not one of this node",
                "check that it was copied whole and that the address is right",
            ));
        };
        if found.revoked {
            return Err(Refusal::unauthenticated(
                format_args!("token {id} was revoked"),
                "ask an administrator for another",
            ));
        }
        if found.expires <= self.system.now() {
            return Err(Refusal::unauthenticated(
                format_args!("token {id} expired at {}", found.expires),
                "ask an administrator for another",
            ));
        }
        Ok(Principal {
            account: found.account.id,
            name: found.account.name,
            institution: found.account.institution,
            roles: found.roles,
            token_id: id.into(),
            areas: found.areas,
            clusters: found.clusters,
            expires: found.expires,
        })
    }

    /// The usual beginning of a call: who it is, whether one of `roles` is there (empty: any
    /// account will do), and a line in the access log, for refused calls too.
    pub async fn enter(
        &self,
        metadata: &MetadataMap,
        roles: &[Role],
        method: &'static str,
        detail: &str,
    ) -> Result<Principal, Status> {
        let principal = self.principal(metadata).await?;
        let allowed = if roles.is_empty() {
            Ok(())
        } else {
            require_any(&principal, roles)
        };
        let detail = if allowed.is_ok() {
            detail.to_owned()
        } else {
            format!("refused: {detail}")
        };
        self.record_access(&principal, method, &detail)
            .await
            .map_err(Refusal::from)?;
        allowed?;
        Ok(principal)
    }

    /// Writes a line of the access log: who reached for what, when.
    pub async fn record_access(
        &self,
        principal: &Principal,
        method: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        let at = self.system.now();
        let mut tx = self.db.write().await?;
        tx.query(RECORD)
            .bind(at.0)
            .bind(principal.token_id.clone())
            .bind(principal.account.to_string())
            .bind(method.to_owned())
            .bind(detail[..detail.floor_char_boundary(DETAIL_MAX)].to_owned())
            .execute()
            .await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{self, NodeKind, TokenGrant},
        clock::ManualClock,
        random::SeededRandom,
    };
    use tonic::Code;

    #[tokio::test]
    async fn tokens_speak_until_they_expire_or_are_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", folder.path().join("a.db").display()))
            .await
            .unwrap();
        db.migrate(account::LOCAL).await.unwrap();
        let (clock, random) = (
            Arc::new(ManualClock::new(Timestamp::from_seconds(10))),
            SeededRandom::new(3),
        );
        let mut tx = db.write().await.unwrap();
        let roles = vec!["recorder".to_owned()];
        let ada = account::new_account(NodeKind::Spoke, "Ada", "ASL1", &roles, &random).unwrap();
        account::insert(&mut tx, &ada, clock.now()).await.unwrap();
        let grant = TokenGrant {
            account: ada.id,
            roles,
            areas: vec![],
            clusters: vec![],
            valid_days: 1,
        };
        let first = account::issue(&mut tx, &grant, clock.now(), &random)
            .await
            .unwrap();
        let second = account::issue(&mut tx, &grant, clock.now(), &random)
            .await
            .unwrap();
        account::revoke(&mut tx, &second.id).await.unwrap();
        tx.commit().await.unwrap();

        let authenticator = Authenticator::new(db.clone(), clock.clone());
        let mut metadata = MetadataMap::new();
        assert_eq!(
            authenticator.principal(&metadata).await.unwrap_err().code(),
            Code::Unauthenticated
        );
        metadata.insert(
            "authorization",
            format!("Bearer {}", first.secret.as_str()).parse().unwrap(),
        );
        let principal = authenticator.enter(&metadata, &[], "who_am_i", "").await.unwrap();
        assert_eq!((principal.account, principal.roles.len()), (ada.id, 1));
        let refused = authenticator
            .enter(&metadata, &[Role::Manager], "submit", "x")
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let mut tx = db.read().await.unwrap();
        let lines: Vec<(String, String)> = tx
            .query("SELECT method, detail FROM local_access ORDER BY id")
            .fetch_all()
            .await
            .unwrap();
        assert_eq!(
            lines,
            [
                ("who_am_i".into(), String::new()),
                ("submit".into(), "refused: x".into())
            ]
        );

        let error = authenticator.of_token(&second.secret).await.unwrap_err();
        assert!(error.text.contains("revoked"), "{error}");
        clock.set(first.expires);
        let error = authenticator.of_token(&first.secret).await.unwrap_err();
        assert!(error.text.contains("expired"), "{error}");
    }
}
