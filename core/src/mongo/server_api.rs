//! The Stable API: what every command says so that servers of later versions answer alike.
//!
//! ```text
//!  { hello: 1, …, $db: "admin", apiVersion: "1", apiStrict: false, apiDeprecationErrors: false }
//! ```
//!
//! Every command of a connection says the same, `getMore` too: a server compares it with what opened
//! the cursor. Servers from 5.0. Facts: "Stable API" specification of the MongoDB drivers.

use bytes::Bytes;

use super::bson_write::DocWriter;
use super::message::encode_command;

/// Version 1, the only one there is (`server.api.version`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerApi {
    /// `server.api.strict`: commands outside the API are refused.
    pub strict: bool,
    /// `server.api.deprecation.errors`: deprecated behaviour is refused.
    pub deprecation_errors: bool,
}

/// A command as [`encode_command`] encodes it, with the API that is asked for.
pub(in crate::mongo) fn encode_with_api(
    api: Option<ServerApi>,
    request_id: i32,
    exhaust_allowed: bool,
    write: impl FnOnce(&mut DocWriter<'_>),
) -> Bytes {
    encode_command(request_id, exhaust_allowed, |doc| {
        write(doc);
        if let Some(ServerApi { strict, deprecation_errors }) = api {
            doc.string("apiVersion", "1");
            doc.boolean("apiStrict", strict);
            doc.boolean("apiDeprecationErrors", deprecation_errors);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};

    fn command(api: Option<ServerApi>) -> Document {
        let message = encode_with_api(api, 7, false, |doc| doc.int32("ping", 1));
        Document::from_reader(&message[21..]).expect("a document behind header, flags and kind")
    }

    #[test]
    fn a_command_names_the_api_only_where_one_is_asked_for() {
        assert_eq!(command(None), doc! { "ping": 1 });
        let api = ServerApi { strict: true, deprecation_errors: false };
        assert_eq!(
            command(Some(api)),
            doc! { "ping": 1, "apiVersion": "1", "apiStrict": true, "apiDeprecationErrors": false }
        );
    }
}
