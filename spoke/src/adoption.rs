//! What the region decides about a kit version: an entry of its own ledger.

use crate::{catalogue, records};
use raccordo_model::{edition::Versioned, entry::Actor, kit::KitAdoption, node::NodeId, scope::Scope};
use raccordo_node::{Node, NodeError, journal::Draft, status::Refusal};
use raccordo_proto::{body::Act, wire};

pub(crate) const LAST: &str = "SELECT idx FROM proj_adoption WHERE kit = $1 AND version = $2";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[LAST];

/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 2_000;

/// Whether the region may decide so about a version, by itself: a reason where the kit is not
/// applicable, and no adoption of what was withdrawn.
pub fn judge(state: KitAdoption, reason: &str, withdrawn: Option<&str>) -> Result<(), Refusal> {
    if reason.len() > REASON_BYTES_MAX {
        let text = format_args!(
            "the reason has {} bytes, at most {REASON_BYTES_MAX} are taken",
            reason.len()
        );
        return Err(Refusal::too_large(text, "shorten it"));
    }
    if state == KitAdoption::NotApplicable && reason.trim().is_empty() {
        return Err(Refusal::invalid(
            "a kit that is not applicable needs a reason",
            "say why with --reason",
        ));
    }
    match withdrawn {
        Some(why) if matches!(state, KitAdoption::Adopted | KitAdoption::Localised) => {
            Err(Refusal::precondition(
                format_args!("the centre withdrew this version: {why}"),
                "adopt a version that is not withdrawn; see `catalogue list`",
            ))
        }
        _ => Ok(()),
    }
}

/// Records the decision; the same again changes nothing.
pub async fn adopt(
    node: &Node,
    actor: Actor,
    id: &Versioned,
    state: KitAdoption,
    reason: &str,
) -> Result<wire::Receipt, NodeError> {
    let mut act = node.act().await?;
    let kit = catalogue::kit(act.tx(), id).await?;
    let text = format!("Kit {id}: {}", state.label_it().to_lowercase());
    let subject = records::subject(format_args!("kit/{}", id.id))?;
    if kit.adoption == Some((state, reason.to_owned())) {
        let query = act
            .tx()
            .query(LAST)
            .bind(id.id.to_string())
            .bind(id.version.to_string());
        let (index,): (i64,) = query.fetch_one().await?;
        if let Some(recorded) = records::act_at(act.tx(), node.me(), index as u64).await? {
            let size = act.commit().await?.size;
            return Ok(records::receipt(&recorded.entry, size, &subject, text, true));
        }
    }
    judge(state, reason, kit.withdrawn.as_deref())?;
    let body = Act::KitAdoption {
        kit: id.clone(),
        state,
        reason: reason.to_owned(),
    };
    let entry = act
        .append(Draft::new(body, subject.clone(), scope(node.me()), vec![actor]))
        .await?;
    let size = act.commit().await?.size;
    Ok(records::receipt(&entry, size, &subject, text, false))
}

/// The Hub and the region itself.
pub(crate) fn scope(me: NodeId) -> Scope {
    me.region().map_or(Scope::Centre, Scope::region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_reason_and_what_is_withdrawn_is_not_adopted() {
        assert!(judge(KitAdoption::NotApplicable, " ", None).is_err());
        assert!(
            judge(
                KitAdoption::NotApplicable,
                "non riguarda la regione",
                Some("errore")
            )
            .is_ok()
        );
        assert!(judge(KitAdoption::Adopted, "", Some("errore")).is_err());
        assert!(judge(KitAdoption::Acknowledged, "", Some("errore")).is_ok());
        assert!(judge(KitAdoption::Adopted, &"x".repeat(REASON_BYTES_MAX + 1), None).is_err());
    }
}
