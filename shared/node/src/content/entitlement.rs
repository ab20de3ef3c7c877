//! Who may read which content: what an entry names, whoever may read the entry may fetch.

use super::Entitlement;
use crate::{
    node::{self, Node},
    status::Refusal,
};
use futures::future::BoxFuture;
use raccordo_model::{
    digest::ManifestDigest,
    entry::{Entry, READER_VERSION},
    kind::Kind,
    node::NodeId,
};
use raccordo_proto::body::Act;
use raccordo_store::entries;
use std::sync::Arc;

/// Knows what an entry entitles to.
pub trait Entitlements: Send + Sync {
    /// The manifests that the entry `node`/`index` names and that `reader`, known by its certificate,
    /// may fetch.
    ///
    /// # Errors
    /// The entry is not here, or not for `reader`.
    fn manifests_of<'a>(
        &'a self,
        reader: NodeId,
        node: NodeId,
        index: u64,
    ) -> BoxFuture<'a, Result<Vec<ManifestDigest>, Refusal>>;
}

/// Reads the entry from the ledger tables: the manifests of its header, and those that its body names.
pub struct LedgerEntitlements {
    /// This node.
    pub node: Arc<Node>,
}

impl Entitlements for LedgerEntitlements {
    fn manifests_of<'a>(
        &'a self,
        reader: NodeId,
        node: NodeId,
        index: u64,
    ) -> BoxFuture<'a, Result<Vec<ManifestDigest>, Refusal>> {
        Box::pin(async move {
            let named = Entitlement { node, index };
            // A region follows the Hub's ledger and its own; another region's is none of its business,
            // whatever its scopes say.
            if reader != NodeId::Hub && node != NodeId::Hub && node != reader {
                return Err(forbidden(reader, named));
            }
            let mut tx = self.node.db.read().await?;
            let Some(stored) = entries::get(&mut tx, node, index).await? else {
                return Err(Refusal::not_found(
                    format_args!("the entry {named} is not here"),
                    "synchronise first, then fetch again",
                ));
            };
            drop(tx);
            let entry = node::parse(stored).map_err(|e| Refusal::internal(&e))?;
            if !entry.header.scope.admits(reader) {
                return Err(forbidden(reader, named));
            }
            manifests_of(&entry)
        })
    }
}

fn forbidden(reader: NodeId, named: Entitlement) -> Refusal {
    Refusal::forbidden(
        format_args!("the entry {named} is not for {reader}"),
        "name an entry of the Hub's ledger that is addressed to this node",
    )
}

/// The manifests in header and body. Of a kind that this program does not know, those in the header.
fn manifests_of(entry: &Entry) -> Result<Vec<ManifestDigest>, Refusal> {
    let mut manifests = entry.header.content.clone();
    if let (Kind::Known(kind), Some(body)) = (&entry.header.kind, &entry.body)
        && entry.header.minimum_reader <= READER_VERSION
    {
        let bytes = raccordo_proto::entry::unpack_body(&entry.header, &body.stored);
        let act = bytes.and_then(|bytes| Act::decode(*kind, &bytes));
        // Other kinds that name content in their bodies are added here.
        if let Act::KitPublished(kit) = act.map_err(|e| Refusal::internal(&e))?
            && !manifests.contains(&kit.manifest)
        {
            manifests.push(kit.manifest);
        }
    }
    Ok(manifests)
}
