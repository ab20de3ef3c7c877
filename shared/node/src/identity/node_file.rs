//! `<data>/node.toml`: what a node knows of itself and of the Hub. Written last when a node is made:
//! where it is, the node is whole.

use super::{IdentityError, bundle::is_address, files};
use raccordo_model::node::{Federation, NodeId, Origin};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What a node knows of itself. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFile {
    /// The federation.
    pub federation: Federation,
    /// Which node this is.
    pub node: NodeId,
    /// Whether it is a test federation with invented data and a business clock.
    pub test: bool,
    /// The own ledger.
    pub origin: Origin,
    /// The Hub's ledger; at the Hub the own one.
    pub hub_origin: Origin,
    /// Verifies the Hub's first checkpoints, Ed25519.
    pub hub_ledger_key: [u8; 32],
    /// Verifies the Hub's cosignatures, Ed25519.
    pub hub_cosigner_key: [u8; 32],
    /// SHA-256 of the federation's root key.
    pub root_key_fingerprint: [u8; 32],
    /// `host:port` of the Hub's server-TLS port, as others reach it.
    pub api_address: String,
    /// `host:port` of the Hub's mutual-TLS port, as others reach it.
    pub exchange_address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    federation: String,
    node: String,
    test: bool,
    origin: String,
    hub_origin: String,
    hub_ledger_key: String,
    hub_cosigner_key: String,
    root_key_fingerprint: String,
    api_address: String,
    exchange_address: String,
}

impl NodeFile {
    /// Where the file is in a data folder.
    pub fn path(data: &Path) -> PathBuf {
        data.join("node.toml")
    }

    /// Reads the file of a data folder.
    pub fn read(data: &Path) -> Result<Self, IdentityError> {
        let path = Self::path(data);
        let damaged = |problem: String| IdentityError::Damaged {
            path: path.clone(),
            problem,
        };
        let text = String::from_utf8(files::read(&path)?).map_err(|_| damaged("not text".into()))?;
        let fields: Fields = toml::from_str(&text).map_err(|e| damaged(e.message().into()))?;
        Self::parse(fields).map_err(|field| {
            damaged(format!(
                "`{field}` is not what it should be; restore the file from the backup"
            ))
        })
    }

    /// Writes the file of a data folder, whole or not at all.
    pub fn write(&self, data: &Path) -> Result<(), IdentityError> {
        // Every value is of letters, digits and punctuation without quotes or backslashes (parsed types,
        // hexadecimal digits, addresses checked here), so it stands between quotes as it is.
        for address in [&self.api_address, &self.exchange_address] {
            if !is_address(address) || address.contains(['"', '\\']) {
                return Err(IdentityError::unacceptable(format!(
                    "`{address}` is not an address: write host:port"
                )));
            }
        }
        let text = format!(
            "# Written by Raccordo when the node was made. Holds no secret.\n\
             federation = \"{}\"\nnode = \"{}\"\ntest = {}\norigin = \"{}\"\nhub_origin = \"{}\"\n\
             hub_ledger_key = \"{}\"\nhub_cosigner_key = \"{}\"\nroot_key_fingerprint = \"{}\"\n\
             api_address = \"{}\"\nexchange_address = \"{}\"\n",
            self.federation,
            self.node,
            self.test,
            self.origin,
            self.hub_origin,
            hex::encode(self.hub_ledger_key),
            hex::encode(self.hub_cosigner_key),
            hex::encode(self.root_key_fingerprint),
            self.api_address,
            self.exchange_address,
        );
        files::write(&Self::path(data), text.as_bytes(), files::PUBLIC)
    }

    fn parse(fields: Fields) -> Result<Self, &'static str> {
        let key = |name: &'static str, text: &str| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes).map_err(|_| name)?;
            Ok::<_, &'static str>(bytes)
        };
        if !is_address(&fields.api_address) {
            return Err("api_address");
        }
        if !is_address(&fields.exchange_address) {
            return Err("exchange_address");
        }
        Ok(Self {
            federation: fields.federation.parse().map_err(|_| "federation")?,
            node: fields.node.parse().map_err(|_| "node")?,
            test: fields.test,
            origin: fields.origin.parse().map_err(|_| "origin")?,
            hub_origin: fields.hub_origin.parse().map_err(|_| "hub_origin")?,
            hub_ledger_key: key("hub_ledger_key", &fields.hub_ledger_key)?,
            hub_cosigner_key: key("hub_cosigner_key", &fields.hub_cosigner_key)?,
            root_key_fingerprint: key("root_key_fingerprint", &fields.root_key_fingerprint)?,
            api_address: fields.api_address,
            exchange_address: fields.exchange_address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_comes_back_or_names_the_field() {
        let data = tempfile::tempdir().unwrap();
        let federation: Federation = "prova".parse().unwrap();
        let node: NodeId = "090".parse().unwrap();
        let file = NodeFile {
            node,
            test: true,
            origin: federation.origin(node),
            hub_origin: federation.origin(NodeId::Hub),
            federation,
            hub_ledger_key: [1; 32],
            hub_cosigner_key: [2; 32],
            root_key_fingerprint: [3; 32],
            api_address: "localhost:8443".into(),
            exchange_address: "localhost:7443".into(),
        };
        file.write(data.path()).unwrap();
        assert_eq!(NodeFile::read(data.path()).unwrap(), file);
        let text = std::fs::read_to_string(NodeFile::path(data.path())).unwrap();
        std::fs::write(
            NodeFile::path(data.path()),
            text.replace("\"090\"", "\"Toscana\""),
        )
        .unwrap();
        assert!(
            NodeFile::read(data.path())
                .unwrap_err()
                .to_string()
                .contains("`node`")
        );
        let wrong = NodeFile {
            api_address: "a\"b:1".into(),
            ..file
        };
        assert!(wrong.write(data.path()).is_err());
    }
}
