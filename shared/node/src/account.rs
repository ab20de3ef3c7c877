//! People and their tokens: accounts, roles, and secrets that are stored hashed.
//!
//! An account is 16 random bytes; its name stays on this node. A token is
//! `rct_<16 hexadecimal digits>_<43 base64url digits>`: the first part finds the row, the second is
//! 32 random bytes of which only the SHA-256 is kept.

use crate::{
    random::{self, Random},
    status::Refusal,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use raccordo_model::{entry::AccountId, timestamp::Timestamp};
use raccordo_store::{StoreError, Tx, migration::Migration};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt, str::FromStr};
use zeroize::Zeroizing;

/// The tables of this module and of [`crate::auth`], [`crate::clock`].
pub const LOCAL: &[Migration] = &[Migration {
    component: "node_local",
    version: 1,
    sqlite: include_str!("../migrations/sqlite/local_0001.sql"),
    postgres: include_str!("../migrations/postgres/local_0001.sql"),
}];

pub(crate) const INSERT: &str = "INSERT INTO local_account (account, name, institution, roles, created_us)
    VALUES ($1, $2, $3, $4, $5)";
pub(crate) const GET: &str = "SELECT account, name, institution, roles FROM local_account WHERE account = $1";
pub(crate) const LIST: &str =
    "SELECT account, name, institution, roles FROM local_account ORDER BY account LIMIT 10000";
pub(crate) const COUNT: &str = "SELECT COUNT(*) FROM local_account";
pub(crate) const INSERT_TOKEN: &str =
    "INSERT INTO local_token (token_id, account, secret_hash, roles, areas, clusters, expires_us, revoked)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0)";
pub(crate) const GET_TOKEN: &str = "SELECT t.account, t.secret_hash, t.roles, t.areas, t.clusters, t.expires_us,
    t.revoked, a.name, a.institution, a.roles
    FROM local_token t JOIN local_account a ON a.account = t.account WHERE t.token_id = $1";
pub(crate) const REVOKE_TOKEN: &str = "UPDATE local_token SET revoked = 1 WHERE token_id = $1";

/// Every SQL text of accounts, tokens and settings, so that a test prepares each on both databases.
pub const STATEMENTS: &[&str] = &[
    INSERT,
    GET,
    LIST,
    COUNT,
    INSERT_TOKEN,
    GET_TOKEN,
    REVOKE_TOKEN,
    crate::clock::GET,
    crate::clock::PUT,
];

/// Most accounts of a node.
pub const ACCOUNTS_MAX: usize = 10_000;
/// Longest name of a person, in bytes.
pub const NAME_MAX: usize = 200;
/// Longest life of a token, in days.
pub const TOKEN_DAYS_MAX: u32 = 366;
/// Most areas or clusters that a token is limited to.
pub const LIMITS_MAX: usize = 32;

const TOKEN_PREFIX: &str = "rct_";
const ID_DIGITS: usize = 16;
const DAY_US: i64 = 86_400_000_000;

/// Which kind of node people work at: it decides which roles there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// The centre.
    Hub,
    /// A region.
    Spoke,
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $text:literal at $($kind:ident)|+;)+) => {
        /// What a person may do at a node.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Role { $($(#[$doc])* $name,)+ }

        impl Role {
            /// Every role.
            pub const ALL: &[Role] = &[$(Role::$name,)+];

            /// The role as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether a node of this kind has the role.
            pub fn is_of(self, kind: NodeKind) -> bool {
                match self { $(Self::$name => matches!(kind, $(NodeKind::$kind)|+),)+ }
            }
        }
    };
}

roles! {
    /// Hub: publishes code lists, syllabi and kits.
    Publisher = "publisher" at Hub;
    /// Hub: observes PEs, accepts and rejects reports.
    Reviewer = "reviewer" at Hub;
    /// Hub: decides on POs, together with another person.
    Approver = "approver" at Hub;
    /// Hub: reads the consolidated status, within the token's areas and clusters.
    Observer = "observer" at Hub;
    /// Spoke: drafts and imports plans, adopts kits.
    Planner = "planner" at Spoke;
    /// Spoke: runs editions and imports outcomes.
    Recorder = "recorder" at Spoke;
    /// Spoke: submits plans and reports.
    Manager = "manager" at Spoke;
    /// Both: accounts, tokens, regions, the business clock.
    Administrator = "administrator" at Hub | Spoke;
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.iter().copied().find(|r| r.as_str() == text).ok_or_else(|| {
            Refusal::invalid(format_args!("`{text}` is not a role"), "see the roles in `account add --help`")
        })
    }
}

/// Roles of a node of `kind`, from their names; at least one.
pub fn parse_roles(kind: NodeKind, names: &[String]) -> Result<BTreeSet<Role>, Refusal> {
    let allowed = || Role::ALL.iter().filter(|r| r.is_of(kind)).map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    let remedy = || format!("write one or more of {}", allowed());
    if names.is_empty() || names.len() > Role::ALL.len() {
        return Err(Refusal::invalid("an account needs one or more roles", remedy()));
    }
    let mut roles = BTreeSet::new();
    for name in names {
        let role = Role::ALL.iter().copied().find(|r| r.as_str() == name && r.is_of(kind));
        roles.insert(role.ok_or_else(|| Refusal::invalid(format_args!("`{name}` is not a role of this node"), remedy()))?);
    }
    Ok(roles)
}

/// A person of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Random, what ledgers name.
    pub id: AccountId,
    /// Shown on this node only.
    pub name: String,
    /// Code, 2 to 20 upper-case letters and digits.
    pub institution: String,
    /// What the person may do.
    pub roles: BTreeSet<Role>,
}

/// A new account, checked: name of 1 to 200 bytes, institution of 2 to 20 upper-case letters and
/// digits, roles of this kind of node.
pub fn new_account(
    kind: NodeKind,
    name: &str,
    institution: &str,
    roles: &[String],
    random: &dyn Random,
) -> Result<Account, Refusal> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Refusal::invalid("the name of the account is empty, too long or holds control characters",
            "write 1 to 200 bytes of text"));
    }
    let code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if !(2..=20).contains(&institution.len()) || !institution.bytes().all(code) {
        return Err(Refusal::invalid(
            format_args!("`{}` is not the code of an institution", institution.chars().take(40).collect::<String>()),
            "write 2 to 20 upper-case letters and digits, for example MDS",
        ));
    }
    let roles = parse_roles(kind, roles)?;
    Ok(Account { id: AccountId(random::bytes(random)), name: name.into(), institution: institution.into(), roles })
}

/// Keeps a new account.
pub async fn insert(tx: &mut Tx, account: &Account, now: Timestamp) -> Result<(), Refusal> {
    let (count,): (i64,) = tx.query(COUNT).fetch_one().await?;
    if count >= ACCOUNTS_MAX as i64 {
        return Err(Refusal::too_large(format_args!("the node has {count} accounts"), "10,000 are the most"));
    }
    tx.query(INSERT)
        .bind(account.id.to_string())
        .bind(account.name.clone())
        .bind(account.institution.clone())
        .bind(join(account.roles.iter().map(|r| r.as_str())))
        .bind(now.0)
        .execute()
        .await?;
    Ok(())
}

/// The account, if there is one.
pub async fn get(tx: &mut Tx, id: AccountId) -> Result<Option<Account>, StoreError> {
    let row: Option<AccountRow> = tx.query(GET).bind(id.to_string()).fetch_optional().await?;
    row.map(account_of).transpose()
}

/// Every account, by identifier.
pub async fn list(tx: &mut Tx) -> Result<Vec<Account>, StoreError> {
    let rows: Vec<AccountRow> = tx.query(LIST).fetch_all().await?;
    rows.into_iter().map(account_of).collect()
}

type AccountRow = (String, String, String, String);

fn account_of((id, name, institution, roles): AccountRow) -> Result<Account, StoreError> {
    Ok(Account {
        id: id.parse().map_err(|_| corrupt("local_account", "account", &id))?,
        roles: roles_of(&roles).ok_or_else(|| corrupt("local_account", "roles", &id))?,
        name,
        institution,
    })
}

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
        return Err(Refusal::invalid(format_args!("a token cannot live {} days", grant.valid_days), "write 1 to 366 days"));
    }
    let account = get(tx, grant.account).await?.ok_or_else(|| {
        Refusal::not_found(format_args!("there is no account {}", grant.account), "see `account list`")
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
    for list in [&grant.areas, &grant.clusters] {
        let code = |c: &String| (1..=40).contains(&c.len()) && c.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if list.len() > LIMITS_MAX || !list.iter().all(code) {
            return Err(Refusal::invalid("the areas or clusters of the token are not codes", "write at most 32 codes of the code lists"));
        }
    }
    let id = hex::encode(random::bytes::<{ ID_DIGITS / 2 }>(random));
    let part = Zeroizing::new(random::bytes::<32>(random));
    let secret = Zeroizing::new(format!("{TOKEN_PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(part.as_slice())));
    let expires = Timestamp(now.0.saturating_add(i64::from(grant.valid_days) * DAY_US));
    tx.query(INSERT_TOKEN)
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
    match tx.query(REVOKE_TOKEN).bind(id.clone()).execute().await? {
        0 => Err(Refusal::not_found(format_args!("there is no token {id}"), "the identifier is printed when a token is issued")),
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
    type Row = (String, Vec<u8>, String, String, String, i64, i64, String, String, String);
    let Some(id) = token_id(presented) else { return Ok(None) };
    let row: Option<Row> = tx.query(GET_TOKEN).bind(id.to_owned()).fetch_optional().await?;
    let Some((account, secret_hash, roles, areas, clusters, expires, revoked, name, institution, own)) = row else {
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
    let difference = a.iter().zip(b).fold(0, |sum, (x, y)| std::hint::black_box(sum | (x ^ y)));
    a.len() == b.len() && difference == 0
}

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

fn split(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

fn roles_of(words: &str) -> Option<BTreeSet<Role>> {
    words.split_whitespace().map(|w| w.parse().ok()).collect()
}

fn corrupt(table: &'static str, column: &'static str, key: &str) -> StoreError {
    StoreError::Corrupt { table, column, key: key.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;
    use raccordo_store::Db;

    fn names(roles: &[&str]) -> Vec<String> {
        roles.iter().map(|r| (*r).to_owned()).collect()
    }

    #[test]
    fn accounts_are_checked() {
        let random = SeededRandom::new(1);
        let new = |name: &str, institution: &str, roles: &[&str]| {
            new_account(NodeKind::Hub, name, institution, &names(roles), &random)
        };
        assert!(new("Ada", "MDS", &["approver", "reviewer"]).is_ok());
        for (name, institution, roles, word) in [
            ("", "MDS", &["approver"][..], "name"),
            ("Ada", "mds", &["approver"][..], "institution"),
            ("Ada", "MDS", &["planner"][..], "planner"),
            ("Ada", "MDS", &[][..], "role"),
        ] {
            let error = new(name, institution, roles).unwrap_err();
            assert!(error.text.contains(word), "{error}");
        }
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
            areas: names(&["A1"]),
            clusters: vec![],
            valid_days: 1,
        };
        let token = issue(&mut tx, &grant, Timestamp(5), &random).await.unwrap();
        assert_eq!(token.expires, Timestamp(5 + DAY_US));
        let found = find(&mut tx, &token.secret).await.unwrap().unwrap();
        assert_eq!((found.account, found.areas), (account, BTreeSet::from(["A1".to_owned()])));
        let mut wrong = token.secret.to_string();
        wrong.replace_range(wrong.len() - 3.., "AAA");
        assert!(find(&mut tx, &wrong).await.unwrap().is_none());
        assert!(find(&mut tx, "rct_x_y").await.unwrap().is_none());

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
