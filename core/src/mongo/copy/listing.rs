//! Which collections are copied, of those that a server names.
//!
//! | named                                        | copied                                          |
//! |----------------------------------------------|-------------------------------------------------|
//! | database that begins with admin, config, local | no, as in Java: `localshop` is left out, too  |
//! | collection that begins with `system.`        | no                                              |
//! | view, time series                            | whole                                           |
//! | collection                                   | whole, or in ranges where no pipeline works on it |

use super::piece::{Namespace, Piece};
use crate::mongo::bson::{BsonError, RawDoc, RawValue};

const SYSTEM_DATABASES: [&str; 3] = ["admin", "config", "local"];
const SYSTEM_COLLECTIONS: &str = "system.";

/// The names in the reply to `listDatabases`, without the server's own.
pub(super) fn databases(body: RawDoc<'_>) -> Result<Vec<String>, BsonError> {
    let mut names = Vec::new();
    if let Some(RawValue::Array(databases)) = body.get(b"databases")? {
        for database in databases {
            let RawValue::Document(database) = database?.value else { continue };
            let Some(RawValue::String(name)) = database.get(b"name")? else { continue };
            let name = String::from_utf8_lossy(name).into_owned();
            if !SYSTEM_DATABASES.iter().any(|system| name.starts_with(system)) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// What is to be read for an item of `listCollections`, if anything.
pub(super) fn collection(
    item: RawDoc<'_>,
    database: &str,
    splits: bool,
) -> Result<Option<Piece>, BsonError> {
    let Some(RawValue::String(name)) = item.get(b"name")? else { return Ok(None) };
    let collection = String::from_utf8_lossy(name).into_owned();
    if collection.starts_with(SYSTEM_COLLECTIONS) {
        return Ok(None);
    }
    let namespace = Namespace { database: database.to_owned(), collection };
    let is_collection = item.get(b"type")? == Some(RawValue::String(b"collection"));
    Ok(Some(if splits && is_collection {
        Piece::Unmeasured(namespace)
    } else {
        Piece::Whole(namespace)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};

    fn piece(item: &Document, splits: bool) -> Option<Piece> {
        let bytes = item.to_vec().unwrap();
        collection(RawDoc::new(&bytes).unwrap(), "d", splits).unwrap()
    }

    #[test]
    fn the_servers_own_databases_are_left_out_by_how_they_begin() {
        let names = ["admin", "a", "config", "local", "localshop", "shop"];
        let named = names.map(|name| bson::Bson::Document(doc! { "name": name }));
        let reply = doc! { "databases": named.to_vec(), "ok": 1.0 }.to_vec().unwrap();
        assert_eq!(databases(RawDoc::new(&reply).unwrap()).unwrap(), ["a", "shop"]);
    }

    #[test]
    fn only_ordinary_collections_may_be_cut_and_only_without_a_pipeline() {
        let namespace = Namespace { database: "d".to_owned(), collection: "c".to_owned() };
        let item = |kind: &str| doc! { "name": "c", "type": kind };
        assert_eq!(piece(&item("collection"), true), Some(Piece::Unmeasured(namespace.clone())));
        for (kind, splits) in [("collection", false), ("view", true), ("timeseries", true)] {
            assert_eq!(piece(&item(kind), splits), Some(Piece::Whole(namespace.clone())), "{kind}");
        }
        assert_eq!(piece(&doc! { "name": "system.views", "type": "collection" }, true), None);
    }
}
