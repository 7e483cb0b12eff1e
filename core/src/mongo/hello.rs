//! The first exchange on a connection: who we are, who the server is.
//!
//! ```text
//!  hello { client metadata, saslSupportedMechs }  ──►
//!                    set name, role, members, wire version, mechanisms  ◄──
//! ```
//!
//! Sent as OP_MSG, which every server understands that can be watched. Facts: handshake and server
//! discovery specifications of the MongoDB drivers.

use super::bson::{BsonError, RawDoc, RawValue};
use super::bson_write::DocWriter;
use super::login::Login;
use super::scram::Credentials;
use crate::link::Address;

/// Port of a server that names itself without one.
const DEFAULT_PORT: u16 = 27017;

/// A server refuses longer names of applications.
const APP_NAME_BYTES_MAX: usize = 128;

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) role: Role,
    pub(super) set_name: Option<String>,
    /// Members that hold data, as the set's configuration names them.
    pub(super) hosts: Vec<Address>,
    /// Who it takes for the primary.
    pub(super) primary: Option<Address>,
    pub(super) max_wire_version: i64,
    /// Mechanisms that the user has; `None` if the server was not asked or does not say, as for an unknown user.
    pub(super) mechanisms: Option<Vec<String>>,
}

/// What a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// No member of a replica set.
    #[default]
    Standalone,
    /// Started for a replica set that was never initiated, or has not read its configuration yet.
    Uninitiated,
    Primary,
    Secondary,
    /// An arbiter, or a member that recovers, rolls back or was removed.
    OtherMember,
    /// A router of a sharded cluster.
    Mongos,
}

impl Hello {
    /// Reads the body of a reply. Unknown fields and odd types are passed over.
    ///
    /// # Errors
    /// If it is malformed.
    pub(super) fn read(body: RawDoc<'_>) -> Result<Self, BsonError> {
        let flag = |name: &[u8]| Ok(body.get(name)?.is_some_and(RawValue::is_true));
        let set_name = text(body.get(b"setName")?);
        let role = if text(body.get(b"msg")?).as_deref() == Some("isdbgrid") {
            Role::Mongos
        } else if flag(b"isreplicaset")? {
            Role::Uninitiated
        } else if set_name.is_none() {
            Role::Standalone
        } else if flag(b"isWritablePrimary")? {
            Role::Primary
        } else if flag(b"secondary")? {
            Role::Secondary
        } else {
            Role::OtherMember
        };
        let mut hosts = Vec::new();
        for list in [b"hosts".as_slice(), b"passives"] {
            let names = texts(body.get(list)?)?.unwrap_or_default();
            hosts.extend(names.iter().filter_map(|name| Address::parse(name, DEFAULT_PORT)));
        }
        Ok(Self {
            role,
            set_name,
            hosts,
            primary: text(body.get(b"primary")?)
                .and_then(|primary| Address::parse(&primary, DEFAULT_PORT)),
            max_wire_version: body.get(b"maxWireVersion")?.and_then(RawValue::as_i64).unwrap_or(0),
            mechanisms: texts(body.get(b"saslSupportedMechs")?)?,
        })
    }
}

/// The `hello` command.
pub(super) fn write_hello(app_name: &str, login: Option<&Login>, doc: &mut DocWriter<'_>) {
    let app_name = app_name.get(..app_name.floor_char_boundary(APP_NAME_BYTES_MAX));
    doc.int32("hello", 1);
    doc.document("client", |client| {
        client.document("application", |application| {
            application.string("name", app_name.unwrap_or_default());
        });
        client.document("driver", |driver| {
            driver.string("name", "millrace");
            driver.string("version", env!("CARGO_PKG_VERSION"));
        });
        client.document("os", |os| {
            os.string("type", std::env::consts::OS);
            os.string("architecture", std::env::consts::ARCH);
        });
    });
    if let Some(Login::Password(Credentials { username, source, mechanism: None, .. })) = login {
        doc.string("saslSupportedMechs", &format!("{source}.{username}"));
    }
    doc.string("$db", "admin");
}

fn text(value: Option<RawValue<'_>>) -> Option<String> {
    match value {
        Some(RawValue::String(text)) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

fn texts(value: Option<RawValue<'_>>) -> Result<Option<Vec<String>>, BsonError> {
    let Some(RawValue::Array(items)) = value else { return Ok(None) };
    let mut all = Vec::new();
    for item in items {
        all.extend(text(Some(item?.value)));
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::bson_write::write_document;
    use crate::mongo::scram::Mechanism;
    use bson::{Document, doc};

    fn hello(reply: &Document) -> Hello {
        let bytes = reply.to_vec().unwrap();
        Hello::read(RawDoc::new(&bytes).unwrap()).unwrap()
    }

    #[test]
    fn a_primary_names_its_set() {
        let got = hello(&doc! {
            "isWritablePrimary": true, "secondary": false, "setName": "rs0",
            "hosts": ["a:1", "b"], "passives": ["[::1]:2"], "arbiters": ["x:9"], "primary": "a:1",
            "maxWireVersion": 17, "saslSupportedMechs": ["SCRAM-SHA-256"], "ok": 1.0,
        });
        let want = Hello {
            role: Role::Primary,
            set_name: Some("rs0".to_owned()),
            hosts: vec![Address::new("a", 1), Address::new("b", 27017), Address::new("::1", 2)],
            primary: Some(Address::new("a", 1)),
            max_wire_version: 17,
            mechanisms: Some(vec!["SCRAM-SHA-256".to_owned()]),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn every_kind_of_server_is_told_apart() {
        for (reply, role) in [
            (doc! { "isWritablePrimary": true, "ok": 1.0 }, Role::Standalone),
            (doc! { "isWritablePrimary": false, "isreplicaset": true }, Role::Uninitiated),
            (
                doc! { "setName": "s", "isWritablePrimary": false, "secondary": true },
                Role::Secondary,
            ),
            (doc! { "setName": "s", "arbiterOnly": true }, Role::OtherMember),
            (doc! { "msg": "isdbgrid", "isWritablePrimary": true }, Role::Mongos),
            (doc! { "setName": 1, "hosts": "a", "msg": true }, Role::Standalone),
        ] {
            assert_eq!(hello(&reply).role, role, "{reply}");
        }
    }

    #[test]
    fn the_command_names_us_and_asks_for_the_mechanisms_of_the_user() {
        let command = |mechanism| {
            let login = Login::Password(Credentials {
                username: "u".to_owned(),
                password: "secret".to_owned(),
                source: "admin".to_owned(),
                mechanism,
            });
            let mut bytes = Vec::new();
            write_document(&mut bytes, |doc| write_hello("my app", Some(&login), doc));
            Document::from_reader(bytes.as_slice()).unwrap()
        };
        let got = command(None);
        assert_eq!(got.get_str("saslSupportedMechs").unwrap(), "admin.u");
        let client = got.get_document("client").unwrap();
        assert_eq!(client.get_document("application").unwrap(), &doc! { "name": "my app" });
        assert!(!got.to_string().contains("secret"));
        let got = command(Some(Mechanism::ScramSha256));
        assert!(!got.contains_key("saslSupportedMechs"), "nothing is left to ask");
    }
}
