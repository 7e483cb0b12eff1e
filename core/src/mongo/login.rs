//! Who we are to MongoDB: a user with a password, or the subject of our certificate.

use super::bson_write::DocWriter;
use super::scram::Credentials;

/// The database of users whose proof is not MongoDB's affair.
pub const EXTERNAL: &str = "$external";

/// How we log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// SCRAM.
    Password(Credentials),
    /// MONGODB-X509: by the certificate that the connection was opened with.
    Certificate {
        /// Its subject, in the notation of RFC 2253; `None`: the server reads it from the certificate.
        username: Option<String>,
    },
}

impl Login {
    /// User and database, as an error names them.
    pub(super) fn user(&self) -> (String, String) {
        match self {
            Self::Password(Credentials { username, source, .. }) => {
                (username.clone(), source.clone())
            }
            Self::Certificate { username } => {
                let subject = || "the subject of the client certificate".to_owned();
                (username.clone().unwrap_or_else(subject), EXTERNAL.to_owned())
            }
        }
    }
}

/// The command that makes the certificate count.
pub(super) fn write_authenticate(username: Option<&str>, doc: &mut DocWriter<'_>) {
    doc.int32("authenticate", 1);
    doc.string("mechanism", "MONGODB-X509");
    if let Some(username) = username {
        doc.string("user", username);
    }
    doc.string("$db", EXTERNAL);
}
