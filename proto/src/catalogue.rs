//! What the centre publishes: code lists, syllabi, kits.

use crate::{
    error::{self, DecodeError, at_most, exactly, parse, required},
    wire,
};
use raccordo_model::{
    code::{Code, Id},
    digest::ManifestDigest,
    edition::Versioned,
    executive_plan::TARGETS_MAX,
    kit::{Kit, KitDescriptor},
    syllabus::{Syllabus, SyllabusUnit, UNIT_MINUTES_MAX, UNITS_MAX},
    taxonomy::{CODE_LISTS_BYTES_MAX, CodeLists},
    text::{LABEL_BYTES_MAX, Text},
};

/// A text as it travels.
pub fn text_to_wire(text: &Text) -> wire::Text {
    wire::Text {
        it: text.it.clone(),
        en: text.en.clone(),
        de: text.de.clone(),
    }
}

/// The text that a message holds; Italian must be there.
pub fn text_from_wire(text: wire::Text) -> Result<Text, DecodeError> {
    if text.it.is_empty() {
        return Err(DecodeError::new("Text", "it", "empty; Italian is the reference"));
    }
    Ok(Text {
        it: error::text("Text", "it", text.it, LABEL_BYTES_MAX)?,
        en: error::text("Text", "en", text.en, LABEL_BYTES_MAX)?,
        de: error::text("Text", "de", text.de, LABEL_BYTES_MAX)?,
    })
}

/// `id` and `version` of `message` as one name.
pub(crate) fn versioned(
    message: &'static str,
    field: &str,
    id: &str,
    version: &str,
) -> Result<Versioned, DecodeError> {
    Ok(Versioned {
        id: parse(message, field, id)?,
        version: parse(message, "version", version)?,
    })
}

/// A syllabus as it travels.
pub fn syllabus_to_wire(syllabus: &Syllabus) -> wire::Syllabus {
    wire::Syllabus {
        id: syllabus.syllabus.id.to_string(),
        version: syllabus.syllabus.version.to_string(),
        title: Some(text_to_wire(&syllabus.title)),
        level: syllabus.level.to_string(),
        area: syllabus.area.to_string(),
        targets: syllabus.targets.iter().map(ToString::to_string).collect(),
        requires: syllabus.requires.iter().map(ToString::to_string).collect(),
        ecm_accredited: syllabus.ecm_accredited,
        units: syllabus
            .units
            .iter()
            .map(|unit| wire::SyllabusUnit {
                id: unit.id.to_string(),
                minutes: unit.minutes,
                objective: unit.objective.to_string(),
                title: Some(text_to_wire(&unit.title)),
            })
            .collect(),
    }
}

/// The syllabus that a message holds. Whether its codes exist is for [`Syllabus::check`].
pub fn syllabus_from_wire(syllabus: wire::Syllabus) -> Result<Syllabus, DecodeError> {
    const MESSAGE: &str = "Syllabus";
    at_most(MESSAGE, "targets", "targets", syllabus.targets.len(), TARGETS_MAX)?;
    at_most(MESSAGE, "requires", "syllabi", syllabus.requires.len(), 20)?;
    at_most(MESSAGE, "units", "units", syllabus.units.len(), UNITS_MAX)?;
    let units = syllabus.units.into_iter().enumerate();
    Ok(Syllabus {
        syllabus: versioned(MESSAGE, "id", &syllabus.id, &syllabus.version)?,
        title: title(MESSAGE, syllabus.title)?,
        level: parse(MESSAGE, "level", &syllabus.level)?,
        area: parse(MESSAGE, "area", &syllabus.area)?,
        targets: list::<Code>(MESSAGE, "targets", &syllabus.targets)?,
        requires: list::<Id>(MESSAGE, "requires", &syllabus.requires)?,
        ecm_accredited: syllabus.ecm_accredited,
        units: units
            .map(|(index, unit)| {
                syllabus_unit(unit).map_err(|e| e.within(MESSAGE, format!("units[{index}]")))
            })
            .collect::<Result<_, _>>()?,
    })
}

fn syllabus_unit(unit: wire::SyllabusUnit) -> Result<SyllabusUnit, DecodeError> {
    const MESSAGE: &str = "SyllabusUnit";
    if !(1..=UNIT_MINUTES_MAX).contains(&unit.minutes) {
        let problem = format!("{}, 1 to {UNIT_MINUTES_MAX} are allowed", unit.minutes);
        return Err(DecodeError::new(MESSAGE, "minutes", problem));
    }
    Ok(SyllabusUnit {
        id: parse(MESSAGE, "id", &unit.id)?,
        minutes: unit.minutes,
        objective: parse(MESSAGE, "objective", &unit.objective)?,
        title: title(MESSAGE, unit.title)?,
    })
}

fn title(message: &'static str, title: Option<wire::Text>) -> Result<Text, DecodeError> {
    text_from_wire(required(message, "title", title)?).map_err(|e| e.within(message, "title"))
}

/// The texts of a list, each parsed.
pub(crate) fn list<T>(message: &'static str, field: &str, texts: &[String]) -> Result<Vec<T>, DecodeError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| parse(message, &format!("{field}[{index}]"), text))
        .collect()
}

/// A kit version as it travels.
pub fn kit_to_wire(kit: &Kit) -> wire::Kit {
    let descriptor = &kit.descriptor;
    wire::Kit {
        id: descriptor.kit.id.to_string(),
        version: descriptor.kit.version.to_string(),
        title: Some(text_to_wire(&descriptor.title)),
        syllabus: descriptor.syllabus.id.to_string(),
        syllabus_version: descriptor.syllabus.version.to_string(),
        manifest: kit.manifest.0.to_vec(),
        files: kit.files,
        bytes: kit.bytes,
    }
}

/// The kit version that a message holds.
pub fn kit_from_wire(kit: wire::Kit) -> Result<Kit, DecodeError> {
    const MESSAGE: &str = "Kit";
    Ok(Kit {
        descriptor: KitDescriptor {
            kit: versioned(MESSAGE, "id", &kit.id, &kit.version)?,
            title: title(MESSAGE, kit.title)?,
            syllabus: Versioned {
                id: parse(MESSAGE, "syllabus", &kit.syllabus)?,
                version: parse(MESSAGE, "syllabus_version", &kit.syllabus_version)?,
            },
        },
        manifest: ManifestDigest(exactly(MESSAGE, "manifest", &kit.manifest)?),
        files: kit.files,
        bytes: kit.bytes,
    })
}

/// A version of the code lists as it travels: the document itself.
pub fn code_lists_to_wire(codes: &CodeLists) -> wire::CodeLists {
    wire::CodeLists {
        version: codes.version(),
        yaml: codes.yaml().to_owned(),
    }
}

/// The code lists that a message holds, parsed.
pub fn code_lists_from_wire(codes: &wire::CodeLists) -> Result<CodeLists, DecodeError> {
    const MESSAGE: &str = "CodeLists";
    at_most(MESSAGE, "yaml", "bytes", codes.yaml.len(), CODE_LISTS_BYTES_MAX)?;
    let parsed =
        CodeLists::parse_yaml(&codes.yaml, "code lists").map_err(|e| DecodeError::new(MESSAGE, "yaml", e))?;
    if parsed.version() != codes.version {
        let problem = format!("{}, but the document says {}", codes.version, parsed.version());
        return Err(DecodeError::new(MESSAGE, "version", problem));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_syllabi_survive_the_wire() {
        let text = include_str!("../../shared/model/data/syllabi.yaml");
        let syllabi = Syllabus::parse_yaml(text, "syllabi.yaml", CodeLists::builtin()).unwrap();
        for syllabus in syllabi {
            assert_eq!(syllabus_from_wire(syllabus_to_wire(&syllabus)), Ok(syllabus));
        }
    }

    #[test]
    fn code_lists_survive_the_wire_and_must_tell_their_version() {
        let mut wire = code_lists_to_wire(CodeLists::builtin());
        assert_eq!(code_lists_from_wire(&wire).as_ref(), Ok(CodeLists::builtin()));
        wire.version = 2;
        assert!(code_lists_from_wire(&wire).is_err());
    }

    #[test]
    fn a_nested_error_names_the_whole_path() {
        let text = include_str!("../../shared/model/data/syllabi.yaml");
        let syllabi = Syllabus::parse_yaml(text, "syllabi.yaml", CodeLists::builtin()).unwrap();
        let mut wire = syllabus_to_wire(&syllabi[0]);
        wire.units[3].title = None;
        let error = syllabus_from_wire(wire).unwrap_err().to_string();
        assert_eq!(error, "Syllabus.units[3].title: missing");
    }
}
