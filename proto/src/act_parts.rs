//! Parts of acts: verdicts, observations, phases, adoptions, the federation.

use crate::{
    body::{FederationCreated, KitPhaseReached, Observation},
    catalogue::versioned,
    error::{DecodeError, at_most, exactly, parse},
    plan::note,
    wire,
};
use raccordo_model::{
    entry::ACTORS_MAX,
    kit::{KitAdoption, KitPhase},
    operational_plan::PoVerdict,
    timestamp::Timestamp,
};

/// A reason of bounded length; it must be there if it is `needed`.
pub(crate) fn reason(
    message: &'static str,
    field: &str,
    text: String,
    needed: bool,
) -> Result<String, DecodeError> {
    if needed && text.trim().is_empty() {
        return Err(DecodeError::new(message, field, "empty; it is needed here"));
    }
    note(message, field, text)
}

pub(crate) fn verdict_to_wire(verdict: PoVerdict) -> wire::PoVerdict {
    match verdict {
        PoVerdict::Approved => wire::PoVerdict::Approved,
        PoVerdict::ChangesRequested => wire::PoVerdict::ChangesRequested,
        PoVerdict::Rejected => wire::PoVerdict::Rejected,
    }
}

pub(crate) fn verdict_from_wire(verdict: i32) -> Result<PoVerdict, DecodeError> {
    match wire::PoVerdict::try_from(verdict) {
        Ok(wire::PoVerdict::Approved) => Ok(PoVerdict::Approved),
        Ok(wire::PoVerdict::ChangesRequested) => Ok(PoVerdict::ChangesRequested),
        Ok(wire::PoVerdict::Rejected) => Ok(PoVerdict::Rejected),
        _ => Err(DecodeError::new(
            "PoDecision",
            "verdict",
            "unspecified or unknown",
        )),
    }
}

pub(crate) fn observation_to_wire(observation: Observation) -> wire::Observation {
    wire::Observation {
        intervention: observation
            .intervention
            .map_or(String::new(), |id| id.to_string()),
        text: observation.text,
    }
}

pub(crate) fn observation_from_wire(observation: wire::Observation) -> Result<Observation, DecodeError> {
    const MESSAGE: &str = "Observation";
    Ok(Observation {
        intervention: match observation.intervention.as_str() {
            "" => None,
            id => Some(parse(MESSAGE, "intervention", id)?),
        },
        text: reason(MESSAGE, "text", observation.text, true)?,
    })
}

pub(crate) fn phase_to_wire(reached: KitPhaseReached) -> wire::KitPhaseReached {
    let phase = match reached.phase {
        KitPhase::Applied => wire::KitPhase::Applied,
        KitPhase::ContentComplete => wire::KitPhase::ContentComplete,
        KitPhase::Serving => wire::KitPhase::Serving,
        KitPhase::NoLongerServed => wire::KitPhase::NoLongerServed,
    };
    wire::KitPhaseReached {
        kit: reached.kit.id.to_string(),
        version: reached.kit.version.to_string(),
        phase: phase.into(),
        reached_at_us: reached.reached_at.0,
    }
}

pub(crate) fn phase_from_wire(reached: &wire::KitPhaseReached) -> Result<KitPhaseReached, DecodeError> {
    const MESSAGE: &str = "KitPhaseReached";
    Ok(KitPhaseReached {
        kit: versioned(MESSAGE, "kit", &reached.kit, &reached.version)?,
        phase: match wire::KitPhase::try_from(reached.phase) {
            Ok(wire::KitPhase::Applied) => KitPhase::Applied,
            Ok(wire::KitPhase::ContentComplete) => KitPhase::ContentComplete,
            Ok(wire::KitPhase::Serving) => KitPhase::Serving,
            Ok(wire::KitPhase::NoLongerServed) => KitPhase::NoLongerServed,
            _ => return Err(DecodeError::new(MESSAGE, "phase", "unspecified or unknown")),
        },
        reached_at: Timestamp(reached.reached_at_us),
    })
}

pub(crate) fn adoption_to_wire(state: KitAdoption) -> wire::KitAdoptionState {
    match state {
        KitAdoption::Acknowledged => wire::KitAdoptionState::Acknowledged,
        KitAdoption::Adopted => wire::KitAdoptionState::Adopted,
        KitAdoption::Localised => wire::KitAdoptionState::Localised,
        KitAdoption::NotApplicable => wire::KitAdoptionState::NotApplicable,
    }
}

pub(crate) fn adoption_from_wire(state: i32) -> Result<KitAdoption, DecodeError> {
    match wire::KitAdoptionState::try_from(state) {
        Ok(wire::KitAdoptionState::Acknowledged) => Ok(KitAdoption::Acknowledged),
        Ok(wire::KitAdoptionState::Adopted) => Ok(KitAdoption::Adopted),
        Ok(wire::KitAdoptionState::Localised) => Ok(KitAdoption::Localised),
        Ok(wire::KitAdoptionState::NotApplicable) => Ok(KitAdoption::NotApplicable),
        _ => Err(DecodeError::new("KitAdoption", "state", "unspecified or unknown")),
    }
}

pub(crate) fn federation_to_wire(created: FederationCreated) -> wire::FederationCreated {
    wire::FederationCreated {
        federation: created.federation.to_string(),
        test: created.test,
        root_key: created.root_key.to_vec(),
        ledger_key: created.ledger_key.to_vec(),
        cosigner_key: created.cosigner_key.to_vec(),
        deciding_institutions: created.deciding_institutions,
        report_due_days: created.report_due_days,
    }
}

pub(crate) fn federation_from_wire(
    created: wire::FederationCreated,
) -> Result<FederationCreated, DecodeError> {
    const MESSAGE: &str = "FederationCreated";
    let institutions = created.deciding_institutions;
    at_most(
        MESSAGE,
        "deciding_institutions",
        "institutions",
        institutions.len(),
        ACTORS_MAX,
    )?;
    let code = |text: &String| {
        (2..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    if !institutions.iter().all(code) {
        let problem = "not codes of 2 to 20 upper-case letters and digits";
        return Err(DecodeError::new(MESSAGE, "deciding_institutions", problem));
    }
    if !(1..=366).contains(&created.report_due_days) {
        let problem = format!("{}, 1 to 366 are allowed", created.report_due_days);
        return Err(DecodeError::new(MESSAGE, "report_due_days", problem));
    }
    Ok(FederationCreated {
        federation: parse(MESSAGE, "federation", &created.federation)?,
        test: created.test,
        root_key: exactly(MESSAGE, "root_key", &created.root_key)?,
        ledger_key: exactly(MESSAGE, "ledger_key", &created.ledger_key)?,
        cosigner_key: exactly(MESSAGE, "cosigner_key", &created.cosigner_key)?,
        deciding_institutions: institutions,
        report_due_days: created.report_due_days,
    })
}
