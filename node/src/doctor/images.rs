//! Whether the collections that are watched store the images that a connector wants with its events.
//!
//! `changeStreamPreAndPostImages` is an option of each collection (MongoDB 6.0). Without it a stream that requires an
//! image fails with the first update, and one that takes what there is gets nothing.

use mongodb::bson::{Bson, Document, doc};

use super::finding::Finding;
use crate::config::{FullDocument, FullDocumentBeforeChange, Scope, SourceConfig};

pub(super) const CHECK: &str = "pre- and post-images";
/// Collections of one answer. More than that are not looked at, and that is said.
const LISTED_MAX: usize = 10_000;
/// Names that a finding spells out.
const NAMED_MAX: usize = 5;

/// How much a connector wants images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Not at all.
    No,
    /// Where there are any.
    WhenAvailable,
    /// Else it fails.
    Required,
}

impl Want {
    pub(super) fn of(source: &SourceConfig) -> Self {
        let before = match source.full_document_before_change {
            Some(FullDocumentBeforeChange::Required) => Self::Required,
            Some(FullDocumentBeforeChange::WhenAvailable) => Self::WhenAvailable,
            Some(FullDocumentBeforeChange::Default | FullDocumentBeforeChange::Off) | None => {
                Self::No
            }
        };
        let after = match source.full_document {
            Some(FullDocument::Required) => Self::Required,
            Some(FullDocument::WhenAvailable) => Self::WhenAvailable,
            Some(FullDocument::Default | FullDocument::UpdateLookup) | None => Self::No,
        };
        match (before, after) {
            (Self::Required, _) | (_, Self::Required) => Self::Required,
            (Self::WhenAvailable, _) | (_, Self::WhenAvailable) => Self::WhenAvailable,
            (Self::No, Self::No) => Self::No,
        }
    }
}

/// The question for the collections that are watched; `None`: those of every database would have to be asked for.
pub(super) fn command(scope: &Scope) -> Option<Document> {
    let (database, filter) = match scope {
        Scope::Deployment => return None,
        Scope::Database(database) => (database, doc! { "type": "collection" }),
        Scope::Collection { database, collection } => (database, doc! { "name": collection }),
    };
    let cursor = doc! { "batchSize": i32::try_from(LISTED_MAX).unwrap_or(i32::MAX) };
    Some(doc! { "listCollections": 1, "filter": filter, "cursor": cursor, "$db": database })
}

/// What there is to say of the answer.
pub(super) fn judge(answer: &Document, want: Want, scope: &Scope) -> Finding {
    let cursor = answer.get_document("cursor");
    let listed = cursor.and_then(|cursor| cursor.get_array("firstBatch"));
    let listed: Vec<&Document> =
        listed.map_or(&[][..], Vec::as_slice).iter().filter_map(Bson::as_document).collect();
    if listed.is_empty() {
        return Finding::not_checked(
            CHECK,
            "there is no collection yet; create it with the option",
        );
    }
    let without: Vec<&str> = listed
        .iter()
        .filter(|collection| !stores_images(collection))
        .filter_map(|collection| collection.get_str("name").ok())
        .filter(|name| !name.starts_with("system."))
        .collect();
    let Some(first) = without.first() else {
        return Finding::ok(CHECK, format!("stored by all {} collections looked at", listed.len()));
    };
    let mut named = without.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    if NAMED_MAX < without.len() {
        named.push_str(&format!(" and {} more", without.len() - NAMED_MAX));
    }
    let database = match scope {
        Scope::Deployment => "",
        Scope::Database(database) | Scope::Collection { database, .. } => database,
    };
    let remedy = format!(
        "in database '{database}': db.runCommand({{ collMod: \"{first}\", changeStreamPreAndPostImages: \
         {{ enabled: true }} }})"
    );
    match want {
        Want::Required => Finding::failure(
            CHECK,
            format!("required, and not stored by {named}: the stream fails with the first update"),
            remedy,
        ),
        Want::WhenAvailable | Want::No => Finding::warning(
            CHECK,
            format!("wanted where available, and not stored by {named}: none will come"),
            remedy,
        ),
    }
}

fn stores_images(collection: &Document) -> bool {
    let options = collection.get_document("options");
    let images = options.and_then(|options| options.get_document("changeStreamPreAndPostImages"));
    images.and_then(|images| images.get_bool("enabled")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome;
    use super::*;

    fn collection(name: &str, enabled: Option<bool>) -> Document {
        let options = match enabled {
            Some(enabled) => doc! { "changeStreamPreAndPostImages": { "enabled": enabled } },
            None => doc! {},
        };
        doc! { "name": name, "type": "collection", "options": options }
    }

    fn judged(collections: &[Document], want: Want) -> Outcome {
        let answer = doc! { "cursor": { "firstBatch": collections } };
        judge(&answer, want, &Scope::Database("d".to_owned())).outcome
    }

    #[test]
    fn collection_without_images_is_as_bad_as_they_are_wanted() {
        let without =
            [collection("a", Some(true)), collection("b", Some(false)), collection("c", None)];
        let Outcome::Failure { seen, remedy } = judged(&without, Want::Required) else { panic!() };
        assert!(seen.contains("not stored by b, c:"), "{seen}");
        assert!(remedy.contains(r#"collMod: "b""#), "{remedy}");
        assert!(matches!(judged(&without, Want::WhenAvailable), Outcome::Warning { .. }));
        assert!(matches!(judged(&without[..1], Want::Required), Outcome::Ok { .. }));
        assert!(matches!(judged(&[], Want::Required), Outcome::NotChecked { .. }));
    }

    #[test]
    fn few_of_many_are_named() {
        let many: Vec<_> = (0..9).map(|i| collection(&format!("c{i}"), None)).collect();
        let Outcome::Failure { seen, .. } = judged(&many, Want::Required) else { panic!() };
        assert!(seen.contains("c0, c1, c2, c3, c4 and 4 more"), "{seen}");
    }

    #[test]
    fn system_collections_store_none_and_need_none() {
        let system = [collection("a", Some(true)), collection("system.views", None)];
        assert!(matches!(judged(&system, Want::Required), Outcome::Ok { .. }));
    }
}
