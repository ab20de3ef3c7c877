//! Tokens: what a person or a program presents to a node, stored hashed.
//!
//! A token is `rct_<16 hexadecimal digits>_<43 base64url digits>`: the first part finds the row, the
//! second is 32 random bytes of which only the SHA-256 (of the whole token) is kept.

use super::{Account, Role, account_of, corrupt, get, join, roles_of, split};
use crate::{
    random::{self, Random},
    status::Refusal,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use raccordo_model::{
    entry::AccountId,
    taxonomy::{CodeLists, Dimension},
    timestamp::Timestamp,
};
use raccordo_store::{StoreError, Tx};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

pub(crate) const INSERT: &str =
    "INSERT INTO local_token (token_id, account, secret_hash, roles, areas, clusters, expires_us, revoked)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0)";
pub(crate) const GET: &str = "SELECT t.account, t.secret_hash, t.roles, t.areas, t.clusters, t.expires_us,
    t.revoked, a.name, a.institution, a.roles
    FROM local_token t JOIN local_account a ON a.account = t.account WHERE t.token_id = $1";
pub(crate) const REVOKE: &str = "UPDATE local_token SET revoked = 1 WHERE token_id = $1";

/// Longest life of a token, in days.
pub const TOKEN_DAYS_MAX: u32 = 366;
/// Most areas or clusters that a token is limited to.
pub const LIMITS_MAX: usize = 32;

const TOKEN_PREFIX: &str = "rct_";
const ID_DIGITS: usize = 16;
const DAY_US: i64 = 86_400_000_000;

/// What a new token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// Whose.
    pub account: AccountId,
    /// Names of roles of the account; empty: all.
    pub roles: Vec<String>,
    /// Areas that it may read; empty: all.
    pub areas: Vec<String>,
    /// Clusters that it may read; empty: all.
    pub clusters: Vec<String>,
    /// Days of life, 1 to 366.
    pub valid_days: u32,
}

/// A new token; the secret is nowhere else.
#[derive(Debug)]
pub struct IssuedToken {
    /// Names the token, to revoke it.
    pub id: String,
    /// What the bearer presents.
    pub secret: Zeroizing<String>,
    /// When it ends, by the system clock.
    pub expires: Timestamp,
}

/// Makes and keeps a token of an account of this node. `now` is the system's time.
pub async fn issue(
    tx: &mut Tx,
    grant: &TokenGrant,
    now: Timestamp,
    random: &dyn Random,
) -> Result<IssuedToken, Refusal> {
    if !(1..=TOKEN_DAYS_MAX).contains(&grant.valid_days) {
        return Err(Refusal::invalid(
            format_args!("a token cannot live {} days", grant.valid_days),
            "write 1 to 366 days",
        ));
    }
    let account = get(tx, grant.account).await?.ok_or_else(|| {
        Refusal::not_found(
            format_args!("there is no account {}", grant.account),
            "see `account list`",
        )
    })?;
    let mut roles = account.roles.clone();
    if !grant.roles.is_empty() {
        roles = grant.roles.iter().map(|r| r.parse()).collect::<Result<_, _>>()?;
        if let Some(role) = roles.difference(&account.roles).next() {
            return Err(Refusal::forbidden(
                format_args!("account {} does not have the role {role}", account.id),
                "a token carries roles of its account only",
            ));
        }
    }
    for (dimension, list) in [
        (Dimension::Area, &grant.areas),
        (Dimension::Cluster, &grant.clusters),
    ] {
        let code = |c: &String| {
            CodeLists::builtin()
                .codes(dimension)
                .any(|(known, _)| known.as_str() == c)
        };
        if list.len() > LIMITS_MAX || !list.iter().all(code) {
            return Err(Refusal::invalid(
                "the areas or clusters of the token are not codes",
                "write at most 32 codes of the code lists, for example GENERAL or C1",
            ));
        }
    }
    // A limit that another role of the same token goes round would be none.
    let limited = !grant.areas.is_empty() || !grant.clusters.is_empty();
    if limited && roles != BTreeSet::from([Role::Observer]) {
        return Err(Refusal::invalid(
            "only a token with the role observer alone can be limited to areas or clusters",
            "add `--role observer`, or leave the limits out",
        ));
    }
    let id = hex::encode(random::bytes::<{ ID_DIGITS / 2 }>(random));
    let part = Zeroizing::new(random::bytes::<32>(random));
    let secret = Zeroizing::new(format!(
        "{TOKEN_PREFIX}{id}_{}",
        URL_SAFE_NO_PAD.encode(part.as_slice())
    ));
    let expires = Timestamp(now.0.saturating_add(i64::from(grant.valid_days) * DAY_US));
    tx.query(INSERT)
        .bind(id.clone())
        .bind(account.id.to_string())
        .bind(hash(&secret).to_vec())
        .bind(join(roles.iter().map(|r| r.as_str())))
        .bind(join(grant.areas.iter().map(String::as_str)))
        .bind(join(grant.clusters.iter().map(String::as_str)))
        .bind(expires.0)
        .execute()
        .await?;
    Ok(IssuedToken { id, secret, expires })
}

/// Ends a token for good.
pub async fn revoke(tx: &mut Tx, token_id: &str) -> Result<(), Refusal> {
    let id: String = token_id.chars().take(64).collect();
    match tx.query(REVOKE).bind(id.clone()).execute().await? {
        0 => Err(Refusal::not_found(
            format_args!("there is no token {id}"),
            "the identifier is printed when a token is issued",
        )),
        _ => Ok(()),
    }
}

/// A token as stored, with its account.
#[derive(Debug, Clone)]
pub(crate) struct StoredToken {
    pub(crate) account: Account,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) areas: BTreeSet<String>,
    pub(crate) clusters: BTreeSet<String>,
    pub(crate) expires: Timestamp,
    pub(crate) revoked: bool,
}

/// The identifier inside a presented token, if it has the form of one.
pub(crate) fn token_id(presented: &str) -> Option<&str> {
    let rest = presented.strip_prefix(TOKEN_PREFIX)?;
    let (id, secret) = rest.split_once('_')?;
    let form = id.len() == ID_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit()) && secret.len() == 43;
    form.then_some(id)
}

/// The stored token that a presented one is, if it is one and its secret is right.
pub(crate) async fn find(tx: &mut Tx, presented: &str) -> Result<Option<StoredToken>, StoreError> {
    type Row = (
        String,
        Vec<u8>,
        String,
        String,
        String,
        i64,
        i64,
        String,
        String,
        String,
    );
    let Some(id) = token_id(presented) else {
        return Ok(None);
    };
    let row: Option<Row> = tx.query(GET).bind(id.to_owned()).fetch_optional().await?;
    let Some((account, secret_hash, roles, areas, clusters, expires, revoked, name, institution, own)) = row
    else {
        return Ok(None);
    };
    if !same(&secret_hash, &hash(presented)) {
        return Ok(None);
    }
    let account = account_of((account, name, institution, own))?;
    // A role that the account lost is lost to its tokens.
    let roles = roles_of(&roles).ok_or_else(|| corrupt("local_token", "roles", id))?;
    Ok(Some(StoredToken {
        roles: roles.intersection(&account.roles).copied().collect(),
        account,
        areas: split(&areas),
        clusters: split(&clusters),
        expires: Timestamp(expires),
        revoked: revoked != 0,
    }))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether the bytes are the same, in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(0, |sum, (x, y)| std::hint::black_box(sum | (x ^ y)));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{LOCAL, NodeKind, STATEMENTS, insert, new_account},
        random::SeededRandom,
    };
    use raccordo_store::Db;

    fn names(roles: &[&str]) -> Vec<String> {
        roles.iter().map(|r| (*r).to_owned()).collect()
    }

    #[tokio::test]
    async fn tokens_are_stored_hashed_and_limited_to_their_account() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let db = Db::open(&format!("sqlite:{}", file.display())).await.unwrap();
        db.migrate(LOCAL).await.unwrap();
        let random = SeededRandom::new(7);
        let mut tx = db.write().await.unwrap();
        for statement in STATEMENTS {
            tx.prepare(statement).await.unwrap();
        }
        let account = new_account(NodeKind::Hub, "Ada", "MDS", &names(&["observer"]), &random).unwrap();
        insert(&mut tx, &account, Timestamp(1)).await.unwrap();
        let mut grant = TokenGrant {
            account: account.id,
            roles: vec![],
            areas: names(&["GENERAL"]),
            clusters: vec![],
            valid_days: 1,
        };
        let token = issue(&mut tx, &grant, Timestamp(5), &random).await.unwrap();
        assert_eq!(token.expires, Timestamp(5 + DAY_US));
        let found = find(&mut tx, &token.secret).await.unwrap().unwrap();
        assert_eq!(
            (found.account, found.areas),
            (account, BTreeSet::from(["GENERAL".to_owned()]))
        );
        let mut wrong = token.secret.to_string();
        wrong.replace_range(wrong.len() - 3.., "AAA");
        assert!(find(&mut tx, &wrong).await.unwrap().is_none());
        assert!(find(&mut tx, "rct_x_y").await.unwrap().is_none());

        // A limit is of known codes, and of the role observer alone.
        let limited = |areas: &[&str], account| TokenGrant {
            areas: names(areas),
            account,
            ..grant.clone()
        };
        for areas in [&["ALL"][..], &["NIENTE"], &[""]] {
            assert!(
                issue(&mut tx, &limited(areas, grant.account), Timestamp(5), &random)
                    .await
                    .is_err()
            );
        }
        let both = new_account(
            NodeKind::Hub,
            "Ugo",
            "MDS",
            &names(&["observer", "reviewer"]),
            &random,
        )
        .unwrap();
        insert(&mut tx, &both, Timestamp(1)).await.unwrap();
        assert!(
            issue(&mut tx, &limited(&["GENERAL"], both.id), Timestamp(5), &random)
                .await
                .is_err()
        );
        let observer = TokenGrant {
            roles: names(&["observer"]),
            ..limited(&["GENERAL"], both.id)
        };
        assert!(issue(&mut tx, &observer, Timestamp(5), &random).await.is_ok());

        grant.roles = names(&["administrator"]);
        assert!(issue(&mut tx, &grant, Timestamp(5), &random).await.is_err());
        grant.roles = vec![];
        grant.valid_days = 367;
        assert!(issue(&mut tx, &grant, Timestamp(5), &random).await.is_err());
        revoke(&mut tx, &token.id).await.unwrap();
        assert!(find(&mut tx, &token.secret).await.unwrap().unwrap().revoked);
        assert!(revoke(&mut tx, "none").await.is_err());
        tx.commit().await.unwrap();
        db.close().await;

        let part = token.secret.rsplit_once('_').unwrap().1.as_bytes();
        let stored = std::fs::read(file).unwrap();
        assert!(!stored.windows(part.len()).any(|w| w == part));
    }
}
