//! People of a node: accounts, roles, and ([`token`]) what they sign in with.
//!
//! An account is 16 random bytes; its name stays on this node.

use crate::{
    random::{self, Random},
    status::Refusal,
};
use raccordo_model::{entry::AccountId, timestamp::Timestamp};
use raccordo_store::{StoreError, Tx, migration::Migration};
use std::{collections::BTreeSet, fmt, str::FromStr};

pub mod token;

pub use token::{IssuedToken, TokenGrant, issue, revoke};

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

/// Every SQL text of accounts, tokens and settings, so that a test prepares each on both databases.
pub const STATEMENTS: &[&str] = &[
    INSERT,
    GET,
    LIST,
    COUNT,
    token::INSERT,
    token::GET,
    token::REVOKE,
    crate::clock::GET,
    crate::clock::PUT,
];

/// Most accounts of a node.
pub const ACCOUNTS_MAX: usize = 10_000;
/// Longest name of a person, in bytes.
pub const NAME_MAX: usize = 200;

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
        Self::ALL
            .iter()
            .copied()
            .find(|r| r.as_str() == text)
            .ok_or_else(|| {
                Refusal::invalid(
                    format_args!("`{text}` is not a role"),
                    "see the roles in `account add --help`",
                )
            })
    }
}

/// Roles of a node of `kind`, from their names; at least one.
pub fn parse_roles(kind: NodeKind, names: &[String]) -> Result<BTreeSet<Role>, Refusal> {
    let allowed = || {
        Role::ALL
            .iter()
            .filter(|r| r.is_of(kind))
            .map(|r| r.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let remedy = || format!("write one or more of {}", allowed());
    if names.is_empty() || names.len() > Role::ALL.len() {
        return Err(Refusal::invalid("an account needs one or more roles", remedy()));
    }
    let mut roles = BTreeSet::new();
    for name in names {
        let role = Role::ALL
            .iter()
            .copied()
            .find(|r| r.as_str() == name && r.is_of(kind));
        roles.insert(role.ok_or_else(|| {
            Refusal::invalid(format_args!("`{name}` is not a role of this node"), remedy())
        })?);
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
        return Err(Refusal::invalid(
            "the name of the account is empty, too long or holds control characters",
            "write 1 to 200 bytes of text",
        ));
    }
    let code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if !(2..=20).contains(&institution.len()) || !institution.bytes().all(code) {
        return Err(Refusal::invalid(
            format_args!(
                "`{}` is not the code of an institution",
                institution.chars().take(40).collect::<String>()
            ),
            "write 2 to 20 upper-case letters and digits, for example MDS",
        ));
    }
    let roles = parse_roles(kind, roles)?;
    Ok(Account {
        id: AccountId(random::bytes(random)),
        name: name.into(),
        institution: institution.into(),
        roles,
    })
}

/// Keeps a new account.
pub async fn insert(tx: &mut Tx, account: &Account, now: Timestamp) -> Result<(), Refusal> {
    let (count,): (i64,) = tx.query(COUNT).fetch_one().await?;
    if count >= ACCOUNTS_MAX as i64 {
        return Err(Refusal::too_large(
            format_args!("the node has {count} accounts"),
            "10,000 are the most",
        ));
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
    StoreError::Corrupt {
        table,
        column,
        key: key.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

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
}
