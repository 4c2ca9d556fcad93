//! Looking at the documents of a cache.

use database::{Cache, ChunkRuns, Document, DocumentKind};

use super::{Examined, Finding, InspectError, Inspector};

/// How many documents are looked at together.
const PAGE: u32 = 500;

impl Inspector {
    /// Looks at every document of a cache.
    pub(super) async fn documents(
        &self,
        cache: &Cache,
        examined: &mut Examined,
        found: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<(), InspectError> {
        let mut after: Option<(DocumentKind, String)> = None;
        loop {
            let from = after.as_ref().map(|(kind, name)| (*kind, name.as_str()));
            let page = self.database.list_documents(cache.id, from, PAGE).await?;
            let Some((kind, name, _)) = page.last() else { return Ok(()) };
            after = Some((*kind, name.clone()));
            examined.documents += page.len() as u64;
            for (kind, name, document) in page {
                let fault = self.document_fault(&document).await?;
                let Some(why) = fault else { continue };
                // It may have been put again meanwhile.
                let again = self.database.find_document(cache.id, kind, &name).await?;
                if again.is_some_and(|again| again.manifest == document.manifest) {
                    found(Finding::DocumentDamaged {
                        cache: cache.name.to_string(),
                        document: kind.as_str(),
                        name,
                        why,
                    });
                }
            }
        }
    }

    /// What is wrong with a document, if something is.
    pub(super) async fn document_fault(&self, document: &Document) -> Result<Option<&'static str>, InspectError> {
        let manifest: &ChunkRuns = &document.manifest;
        Ok(match self.chunks(manifest).await? {
            Err(why) => Some(why),
            Ok(chunks) => {
                let size: u64 = chunks.iter().map(|chunk| u64::from(chunk.location.size)).sum();
                (size != document.size).then_some("has chunks of another size")
            }
        })
    }
}
