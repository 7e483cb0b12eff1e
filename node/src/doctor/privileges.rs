//! Whether a user may do what a connector does, by the list of rights that the server gives with `connectionStatus`.
//!
//! ```text
//! { resource: { db: "shop", collection: "" }, actions: ["find", "changeStream", …] }
//!                  └ "": every one that is not the server's own    { anyResource: true }: all there is
//! ```

use mongodb::bson::{Bson, Document, doc};

use super::finding::Finding;
use crate::config::Scope;

const CHECK: &str = "privileges";
/// What a change stream takes.
const WATCHING: [&str; 2] = ["find", "changeStream"];
/// What a copy of existing data takes besides.
const LISTING: &str = "listCollections";

/// The question.
pub(super) fn command() -> Document {
    doc! { "connectionStatus": 1, "showPrivileges": true, "$db": "admin" }
}

/// What there is to say of the answer.
pub(super) fn judge(answer: &Document, scope: &Scope, copies: bool) -> Finding {
    let auth = answer.get_document("authInfo").ok();
    let list =
        |name: &str| auth.and_then(|auth| auth.get_array(name).ok()).map_or(&[][..], Vec::as_slice);
    let Some(user) = list("authenticatedUsers").first().and_then(Bson::as_document) else {
        return Finding::ok(
            CHECK,
            "nobody is logged in: whether the server asks for a user, the change stream shows",
        );
    };
    let user = format!(
        "user '{}' of '{}'",
        user.get_str("user").unwrap_or_default(),
        user.get_str("db").unwrap_or_default()
    );
    let rights = list("authenticatedUserPrivileges");
    let wanted = WATCHING.iter().copied().chain(copies.then_some(LISTING));
    let missing: Vec<_> = wanted.filter(|action| !may(rights, scope, action)).collect();
    let place = place(scope);
    if missing.is_empty() {
        return Finding::ok(CHECK, format!("{user} may watch {place}"));
    }
    Finding::failure(
        CHECK,
        format!("{user} lacks {} on {place}", missing.join(" and ")),
        format!("as an administrator: db.grantRolesToUser(…, [{}])", role(scope)),
    )
}

/// Whether one of `rights` allows `action` on all of `scope`. A right on a part of it does not.
fn may(rights: &[Bson], scope: &Scope, action: &str) -> bool {
    rights.iter().filter_map(Bson::as_document).any(|right| {
        let actions = right.get_array("actions").map_or(&[][..], Vec::as_slice);
        let allows = actions.iter().any(|allowed| allowed.as_str() == Some(action));
        allows
            && right.get_document("resource").is_ok_and(|resource| covers(resource, scope, action))
    })
}

fn covers(resource: &Document, scope: &Scope, action: &str) -> bool {
    if resource.get_bool("anyResource").unwrap_or(false) {
        return true;
    }
    let (Ok(db), Ok(collection)) = (resource.get_str("db"), resource.get_str("collection")) else {
        return false;
    };
    match scope {
        Scope::Deployment => db.is_empty() && collection.is_empty(),
        Scope::Database(name) => (db.is_empty() || db == name) && collection.is_empty(),
        // The names of collections are a matter of the database.
        Scope::Collection { database, .. } if action == LISTING => {
            (db.is_empty() || db == database) && collection.is_empty()
        }
        Scope::Collection { database, collection: name } => {
            (db.is_empty() || db == database) && (collection.is_empty() || collection == name)
        }
    }
}

/// What is watched, for people.
pub(super) fn place(scope: &Scope) -> String {
    match scope {
        Scope::Deployment => "the whole deployment".to_owned(),
        Scope::Database(database) => format!("database '{database}'"),
        Scope::Collection { database, collection } => {
            format!("collection '{database}.{collection}'")
        }
    }
}

fn role(scope: &Scope) -> String {
    match scope {
        Scope::Deployment => "{ role: \"readAnyDatabase\", db: \"admin\" }".to_owned(),
        Scope::Database(database) | Scope::Collection { database, .. } => {
            format!("{{ role: \"read\", db: \"{database}\" }}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome;
    use super::*;

    fn answer(resource: &Document, actions: &[&str]) -> Document {
        doc! { "authInfo": {
            "authenticatedUsers": [{ "user": "u", "db": "admin" }],
            "authenticatedUserPrivileges": [{ "resource": resource, "actions": actions }],
        } }
    }

    fn on(db: &str, collection: &str) -> Document {
        doc! { "db": db, "collection": collection }
    }

    fn scopes() -> [Scope; 3] {
        let (database, collection) = ("d".to_owned(), "c".to_owned());
        [
            Scope::Deployment,
            Scope::Database("d".to_owned()),
            Scope::Collection { database, collection },
        ]
    }

    #[test]
    fn right_counts_where_it_covers_all_that_is_watched() {
        for (resource, wanted) in [
            (on("", ""), [true, true, true]),
            (on("d", ""), [false, true, true]),
            (on("d", "c"), [false, false, true]),
            (on("", "c"), [false, false, true]),
            (on("e", ""), [false, false, false]),
            (on("d", "e"), [false, false, false]),
            (doc! { "anyResource": true }, [true, true, true]),
            (doc! { "cluster": true }, [false, false, false]),
        ] {
            let answer = answer(&resource, &["find", "changeStream", "dropIndex"]);
            let got = scopes().map(|scope| !judge(&answer, &scope, false).is_failure());
            assert_eq!(got, wanted, "{resource}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_role_that_has_it() {
        let [_, database, _] = scopes();
        let finding = judge(&answer(&on("d", ""), &["find"]), &database, true);
        let Outcome::Failure { seen, remedy } = finding.outcome else { panic!("{finding:?}") };
        assert_eq!(
            seen,
            "user 'u' of 'admin' lacks changeStream and listCollections on database 'd'"
        );
        assert!(remedy.contains(r#"{ role: "read", db: "d" }"#), "{remedy}");
    }

    #[test]
    fn nobody_has_no_rights_to_look_at() {
        for answer in [doc! {}, doc! { "authInfo": { "authenticatedUsers": [] } }] {
            assert!(!judge(&answer, &Scope::Deployment, true).is_failure());
        }
    }
}
