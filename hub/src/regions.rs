//! Who takes part: invitations (`local_invitation`), enrolled and revoked regions (`proj_region`).

use crate::{
    listing::{Listing, instant},
    plans::text_of_people,
    receipt::{Receipt, subject},
};
use raccordo_model::{
    entry::{Actor, Entry, Subject},
    node::{NodeId, Origin, RegionCode},
    region,
    scope::Scope,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node, NodeError,
    identity::{
        bundle::{Bundle, new_token, token_hash},
        ca::Ca,
        enrolment::{Enrolled, Joining, RegionKeys, Registry},
        revocation::Revoked,
    },
    journal::Draft,
    node::follow_in,
    projection::ApplyError,
    session::peers::Peers,
    status::Refusal,
};
use raccordo_proto::body::Act;
use raccordo_store::{StoreError, Tx, keys::PublicKeys};
use std::sync::Arc;

pub(crate) const INVITE: &str =
    "INSERT INTO local_invitation (token_hash, region, account, institution, expires_us)
    VALUES ($1, $2, $3, $4, $5)";
pub(crate) const INVITATION: &str =
    "SELECT region, account, institution, expires_us, used_us, ledger_key, cosigner_key
    FROM local_invitation WHERE token_hash = $1";
pub(crate) const USE: &str = "UPDATE local_invitation SET used_us = $2, ledger_key = $3, cosigner_key = $4
    WHERE token_hash = $1 AND used_us IS NULL";
pub(crate) const INVITED: &str = "SELECT region, MAX(expires_us) FROM local_invitation
    WHERE used_us IS NULL GROUP BY region ORDER BY region";
pub(crate) const INSERT: &str = "INSERT INTO proj_region
    (region, state, origin, ledger_key, cosigner_key, enrolled_us, changed_idx, reason)
    VALUES ($1, 'enrolled', $2, $3, $4, $5, $6, '')";
pub(crate) const REVOKE: &str = "UPDATE proj_region SET state = 'revoked', changed_idx = $2, reason = $3
    WHERE region = $1 AND state = 'enrolled'";
pub(crate) const GET: &str =
    "SELECT state, ledger_key, cosigner_key, changed_idx, reason FROM proj_region WHERE region = $1";
pub(crate) const LIST: &str =
    "SELECT region, state, enrolled_us, reason FROM proj_region ORDER BY region LIMIT 1000";

/// Longest life of an invitation, in days.
pub const INVITATION_DAYS_MAX: u32 = 30;
const DAY_US: i64 = 86_400_000_000;

/// A region, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whether its access was ended.
    pub revoked: bool,
    /// Its keys.
    pub keys: RegionKeys,
    /// The Hub's entry that last changed it.
    pub changed: u64,
    /// Why its access was ended; else empty.
    pub reason: String,
}

/// How regions reach this Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// `host:port` of the server-TLS port.
    pub api: String,
    /// `host:port` of the mutual-TLS port.
    pub exchange: String,
}

/// Makes a join bundle with a one-time token that is bound to the region.
pub async fn invite(
    node: &Node,
    ca: &Ca,
    root_key_fingerprint: [u8; 32],
    addresses: &Addresses,
    actor: &Actor,
    (code, days): (RegionCode, u32),
) -> Result<Bundle, NodeError> {
    if region::region(code).is_none() {
        return Err(Refusal::not_found(format!("there is no region {code}"), "`090` is Tuscany").into());
    }
    if !(1..=INVITATION_DAYS_MAX).contains(&days) {
        let text = format!("an invitation cannot live {days} days");
        return Err(Refusal::invalid(text, format!("write 1 to {INVITATION_DAYS_MAX}")).into());
    }
    let mut tx = node.db.write().await?;
    may_enrol(get(&mut tx, code).await?.as_ref(), code)?;
    let token = new_token(node.random.as_ref());
    let expires = Timestamp(node.system_clock.now().0.saturating_add(i64::from(days) * DAY_US));
    tx.query(INVITE)
        .bind(token_hash(&token).to_vec())
        .bind(code.to_string())
        .bind(actor.account.to_string())
        .bind(actor.institution.clone())
        .bind(expires.0)
        .execute()
        .await?;
    tx.commit().await?;
    Ok(Bundle {
        federation: node.identity.federation.clone(),
        region: code,
        api_address: addresses.api.clone(),
        exchange_address: addresses.exchange.clone(),
        ca: ca.der().clone(),
        root_key_fingerprint,
        token,
        expires,
    })
}

/// Ends a region's access: by an entry, at the ports, and by closing its session.
pub async fn revoke(
    node: &Node,
    revoked: &Revoked,
    peers: &Peers,
    actor: Actor,
    code: RegionCode,
    reason: &str,
) -> Result<Receipt, NodeError> {
    let reason = text_of_people("reason", reason, true)?;
    let about = about(code)?;
    let mut act = node.act().await?;
    let member = get(act.tx(), code)
        .await?
        .ok_or_else(|| Refusal::not_found(format!("region {code} never joined"), "see `region list`"))?;
    if member.revoked {
        let text = format!("L'accesso della regione {code} era già revocato.");
        return Receipt::repeated(act.tx(), member.changed, &about, text).await;
    }
    let body = Act::RegionRevoked { region: code, reason };
    let entry = act
        .append(Draft::new(body, about.clone(), Scope::Public, vec![actor]))
        .await?;
    let committed = act.commit().await?;
    // Dying here is made good by the next start, which reads the revoked regions from the projection.
    revoked.revoke_node(NodeId::Region(code));
    peers.dismiss(NodeId::Region(code));
    Ok(Receipt::done(
        entry,
        &committed,
        &about,
        format!("Accesso della regione {code} revocato."),
    ))
}

/// Every region of the country, with how it stands.
pub async fn list(tx: &mut Tx, peers: &Peers, system_now: Timestamp) -> Result<Listing, StoreError> {
    let members: Vec<(String, String, i64, String)> = tx.query(LIST).fetch_all().await?;
    let invited: Vec<(String, i64)> = tx.query(INVITED).fetch_all().await?;
    let mut listing = Listing::new(&["region", "name", "state", "recorded_at", "connected", "reason"]);
    for region in region::regions() {
        let code = region.code.to_string();
        let member = members.iter().find(|member| member.0 == code);
        let pending = invited
            .iter()
            .any(|(invited, expires)| *invited == code && *expires > system_now.0);
        let (state, at, reason) = match member {
            Some((_, state, at, reason)) => (state.clone(), Some(*at), reason.clone()),
            None if pending => ("invited".into(), None, String::new()),
            None => ("absent".into(), None, String::new()),
        };
        let connected = peers.is_connected(NodeId::Region(region.code)).to_string();
        listing.push(vec![
            code,
            region.name.clone(),
            state,
            instant(at),
            connected,
            reason,
        ]);
    }
    Ok(listing)
}

/// The regions that take part, also those whose access was ended, by code.
pub async fn enrolled(tx: &mut Tx) -> Result<Vec<RegionCode>, StoreError> {
    Ok(members(tx).await?.into_iter().map(|(code, _)| code).collect())
}

/// The regions whose access was ended.
pub async fn revoked(tx: &mut Tx) -> Result<Vec<RegionCode>, StoreError> {
    Ok(members(tx)
        .await?
        .into_iter()
        .filter(|(_, revoked)| *revoked)
        .map(|(code, _)| code)
        .collect())
}

async fn members(tx: &mut Tx) -> Result<Vec<(RegionCode, bool)>, StoreError> {
    let rows: Vec<(String, String, i64, String)> = tx.query(LIST).fetch_all().await?;
    rows.into_iter()
        .map(|(code, state, ..)| match code.parse() {
            Ok(parsed) => Ok((parsed, state == "revoked")),
            Err(_) => Err(corrupt("region", &code)),
        })
        .collect()
}

/// A region that joined.
pub async fn get(tx: &mut Tx, code: RegionCode) -> Result<Option<Member>, StoreError> {
    type Row = (String, Vec<u8>, Vec<u8>, i64, String);
    let row: Option<Row> = tx.query(GET).bind(code.to_string()).fetch_optional().await?;
    let Some((state, ledger, cosigner, changed, reason)) = row else {
        return Ok(None);
    };
    let key = |bytes: Vec<u8>, column| bytes.try_into().map_err(|_| corrupt(column, code.as_str()));
    Ok(Some(Member {
        revoked: state == "revoked",
        keys: RegionKeys {
            ledger_key: key(ledger, "ledger_key")?,
            cosigner_key: key(cosigner, "cosigner_key")?,
        },
        changed: changed as u64,
        reason,
    }))
}

fn may_enrol(member: Option<&Member>, code: RegionCode) -> Result<(), Refusal> {
    match member {
        None => Ok(()),
        Some(Member { revoked: true, .. }) => Err(Refusal::precondition(
            format!("the access of region {code} was revoked"),
            "a revoked region does not join again under the same ledger",
        )),
        Some(_) => Err(Refusal::conflict(
            format!("region {code} joined already, with other keys"),
            "use the data folder that it joined with; revoke its access if that was stolen",
        )),
    }
}

/// An invitation, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Invitation {
    region: String,
    actor: Actor,
    expires: Timestamp,
    used_by: Option<(Vec<u8>, Vec<u8>)>,
}

/// What a token allows.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// The region is new.
    Enrol,
    /// The first answer was lost: the same keys are answered again.
    Again,
}

/// The rule of joining: the token is known, of this region, alive, and used by nobody else.
fn admit(invitation: Option<&Invitation>, joining: &Joining, now: Timestamp) -> Result<Admission, Refusal> {
    let refused = |text: &str| Refusal::unauthenticated(text, "ask the centre for a new join bundle");
    // Unknown and of another region look the same from outside.
    let invitation = invitation
        .filter(|i| i.region == joining.region.as_str())
        .ok_or_else(|| refused("the token of the join bundle is not one for this region"))?;
    if invitation.expires <= now {
        return Err(refused("the token of the join bundle has expired"));
    }
    match &invitation.used_by {
        None => Ok(Admission::Enrol),
        Some((ledger, cosigner))
            if ledger.as_slice() == joining.ledger_key && cosigner.as_slice() == joining.cosigner_key =>
        {
            Ok(Admission::Again)
        }
        Some(_) => Err(refused("the token of the join bundle was used before")),
    }
}

/// What the Hub knows of its regions, for the enrolment service.
#[derive(Clone)]
pub struct HubRegistry(pub Arc<Node>);

impl Registry for HubRegistry {
    async fn enrol(&self, joining: Joining) -> Result<Enrolled, Refusal> {
        enrol(&self.0, joining).await.map_err(refusal)
    }

    async fn keys_of(&self, region: RegionCode) -> Result<Option<RegionKeys>, Refusal> {
        let mut tx = self.0.db.read().await?;
        Ok(get(&mut tx, region)
            .await?
            .filter(|member| !member.revoked)
            .map(|member| member.keys))
    }
}

async fn enrol(node: &Node, joining: Joining) -> Result<Enrolled, NodeError> {
    let code = joining.region;
    let origin = node.identity.federation.origin(NodeId::Region(code));
    let enrolled = Enrolled {
        origin: origin.clone(),
        hub_origin: node.identity.origin.clone(),
        hub_ledger_key: node.identity.signer.verifying_key(),
        hub_cosigner_key: node.identity.cosigner.verifying_key(),
        test: node.identity.test,
    };
    let now = node.system_clock.now();
    let mut act = node.act().await?;
    let invitation = invitation(act.tx(), &joining.token_hash).await?;
    let admission = admit(invitation.as_ref(), &joining, now)?;
    let member = get(act.tx(), code).await?;
    let Some(invitation) = invitation.filter(|_| admission == Admission::Enrol) else {
        // Whose access was ended gets no certificate by asking again; only who holds the token learns why.
        may_enrol(member.filter(|member| member.revoked).as_ref(), code)?;
        return Ok(enrolled);
    };
    may_enrol(member.as_ref(), code)?;
    let keys = PublicKeys {
        node: NodeId::Region(code),
        origin: origin.clone(),
        from_size: 0,
        ledger_key: joining.ledger_key,
        cosigner_key: joining.cosigner_key,
    };
    follow_in(act.tx(), &keys).await?;
    let used = act.tx().query(USE).bind(joining.token_hash.to_vec()).bind(now.0);
    used.bind(joining.ledger_key.to_vec())
        .bind(joining.cosigner_key.to_vec())
        .execute()
        .await?;
    let body = Act::RegionEnrolled {
        region: code,
        origin,
        ledger_key: joining.ledger_key,
        cosigner_key: joining.cosigner_key,
    };
    act.append(Draft::new(
        body,
        about(code)?,
        Scope::Public,
        vec![invitation.actor],
    ))
    .await?;
    act.commit().await?;
    Ok(enrolled)
}

async fn invitation(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<Invitation>, StoreError> {
    type Row = (
        String,
        String,
        String,
        i64,
        Option<i64>,
        Option<Vec<u8>>,
        Option<Vec<u8>>,
    );
    let row: Option<Row> = tx.query(INVITATION).bind(hash.to_vec()).fetch_optional().await?;
    let Some((region, account, institution, expires, used, ledger, cosigner)) = row else {
        return Ok(None);
    };
    let account = account.parse().map_err(|_| StoreError::Corrupt {
        table: "local_invitation",
        column: "account",
        key: region.clone(),
    })?;
    let used_by = used.map(|_| (ledger.unwrap_or_default(), cosigner.unwrap_or_default()));
    Ok(Some(Invitation {
        region,
        actor: Actor { account, institution },
        expires: Timestamp(expires),
        used_by,
    }))
}

/// Applies `region.enrolled`.
pub async fn apply_enrolled(
    tx: &mut Tx,
    entry: &Entry,
    code: RegionCode,
    origin: &Origin,
    ledger_key: &[u8; 32],
    cosigner_key: &[u8; 32],
) -> Result<(), ApplyError> {
    tx.query(INSERT)
        .bind(code.to_string())
        .bind(origin.to_string())
        .bind(ledger_key.to_vec())
        .bind(cosigner_key.to_vec())
        .bind(entry.header.recorded_at.0)
        .bind(entry.index as i64)
        .execute()
        .await?;
    Ok(())
}

/// Applies `region.revoked`.
pub async fn apply_revoked(
    tx: &mut Tx,
    entry: &Entry,
    code: RegionCode,
    reason: &str,
) -> Result<(), ApplyError> {
    let query = tx
        .query(REVOKE)
        .bind(code.to_string())
        .bind(entry.index as i64)
        .bind(reason.to_owned());
    match query.execute().await? {
        1 => Ok(()),
        _ => Err(ApplyError::refused(
            format!("region {code} does not take part"),
            "see `region list`",
        )),
    }
}

/// A failure of the node as the caller may see it.
pub(crate) fn refusal(error: NodeError) -> Refusal {
    match error {
        NodeError::Refused(refusal) => refusal,
        NodeError::Store(error) => error.into(),
        unreadable => Refusal::internal(&unreadable),
    }
}

fn about(code: RegionCode) -> Result<Subject, Refusal> {
    subject(format!("region/{code}"))
}

fn corrupt(column: &'static str, key: &str) -> StoreError {
    StoreError::Corrupt {
        table: "proj_region",
        column,
        key: key.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_model::entry::AccountId;

    #[test]
    fn a_token_is_of_one_region_and_used_once() {
        let joining = Joining {
            region: "090".parse().unwrap(),
            token_hash: [1; 32],
            ledger_key: [2; 32],
            cosigner_key: [3; 32],
        };
        let invitation = Invitation {
            region: "090".into(),
            actor: Actor {
                account: AccountId([1; 16]),
                institution: "MDS".into(),
            },
            expires: Timestamp(100),
            used_by: None,
        };
        let now = Timestamp(99);
        assert_eq!(admit(Some(&invitation), &joining, now), Ok(Admission::Enrol));
        assert!(admit(None, &joining, now).is_err());
        assert!(
            admit(Some(&invitation), &joining, Timestamp(100))
                .unwrap_err()
                .text
                .contains("expired")
        );
        let other = Joining {
            region: "140".parse().unwrap(),
            ..joining.clone()
        };
        assert!(admit(Some(&invitation), &other, now).is_err());
        let used = |ledger: u8| Invitation {
            used_by: Some((vec![ledger; 32], vec![3; 32])),
            ..invitation.clone()
        };
        assert_eq!(admit(Some(&used(2)), &joining, now), Ok(Admission::Again));
        assert!(
            admit(Some(&used(9)), &joining, now)
                .unwrap_err()
                .text
                .contains("used before")
        );
    }
}
