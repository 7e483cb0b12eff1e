//! How a connection string logs in: by a user's password, or by the client certificate.
//!
//! The rules are those of the Java driver (`ConnectionString.createCredentials` of version 4.7), its words too.

use millrace_core::mongo::login::EXTERNAL;
use millrace_core::mongo::scram::Mechanism;

use super::mongo_uri::UriError;
use super::secret::Secret;
use super::uri_options::{UriOptions, percent_decode};

const X509: &str = "MONGODB-X509";

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MongoLogin {
    /// SCRAM.
    Password {
        /// The name, decoded.
        username: String,
        /// The password, decoded.
        password: Secret,
        /// The database that knows the user.
        auth_source: AuthSource,
        /// `authMechanism`; `None`: the strongest that the user has.
        mechanism: Option<Mechanism>,
    },
    /// MONGODB-X509.
    Certificate {
        /// The subject of the certificate, if the string names it.
        username: Option<String>,
        /// `$external`.
        auth_source: AuthSource,
    },
}

/// The database that knows a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthSource {
    /// By the option.
    Given(String),
    /// Unless a TXT record says otherwise.
    Default(String),
}

impl MongoLogin {
    /// What `user_info@` and the options come to; `Ok(None)`: nobody logs in.
    pub(super) fn parse(
        user_info: Option<&str>,
        database: &str,
        options: &UriOptions,
    ) -> Result<Option<Self>, UriError> {
        let user = user_info.map(User::parse).transpose()?;
        if options.auth_source.as_deref() == Some("") {
            return Err(UriError::EmptyAuthSource);
        }
        let given = options.auth_source.clone().map(AuthSource::Given);
        match (options.auth_mechanism.as_deref(), user) {
            (Some(X509), user) => {
                if user.as_ref().is_some_and(|user| user.password.is_some()) {
                    return Err(UriError::CertificateWithPassword);
                }
                let auth_source = given.unwrap_or_else(|| AuthSource::Default(EXTERNAL.to_owned()));
                auth_source.check_external()?;
                Ok(Some(Self::Certificate {
                    username: user.map(|user| user.username),
                    auth_source,
                }))
            }
            (None, None) => Ok(None),
            (named, user) => {
                let mechanism = named.map(scram).transpose()?;
                let User { username, password } = user.ok_or(UriError::NoUsername)?;
                let password = password.ok_or(UriError::NoPassword)?;
                // The path is `database.collection`.
                let database = percent_decode(database.split('.').next().unwrap_or_default())?;
                let usual = if database.is_empty() { "admin".to_owned() } else { database };
                let auth_source = given.unwrap_or(AuthSource::Default(usual));
                Ok(Some(Self::Password { username, password, auth_source, mechanism }))
            }
        }
    }
}

/// The mechanism of this name.
fn scram(name: &str) -> Result<Mechanism, UriError> {
    Mechanism::from_name(name).ok_or_else(|| UriError::Mechanism(name.to_owned()))
}

impl AuthSource {
    /// The database, where a TXT record says `txt`.
    pub(crate) fn or_txt(&self, txt: Option<&str>) -> Self {
        match (self, txt) {
            (Self::Given(_), _) | (Self::Default(_), None) => self.clone(),
            (Self::Default(_), Some(txt)) => Self::Given(txt.to_owned()),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Given(name) | Self::Default(name) => name,
        }
    }

    /// A certificate is looked up in `$external` alone.
    pub(crate) fn check_external(&self) -> Result<(), UriError> {
        if self.name() == EXTERNAL { Ok(()) } else { Err(UriError::NotExternal) }
    }
}

/// What stands before the `@`, decoded.
struct User {
    username: String,
    password: Option<Secret>,
}

impl User {
    fn parse(text: &str) -> Result<Self, UriError> {
        let (username, password) = match text.split_once(':') {
            Some((username, password)) => (username, Some(password)),
            None => (text, None),
        };
        let has_colon = password.is_some_and(|password| password.contains(':'));
        if username.is_empty() || text.contains('@') || has_colon {
            return Err(UriError::UserInfo);
        }
        let password = password.map(percent_decode).transpose()?.map(Secret::new);
        Ok(Self { username: percent_decode(username)?, password })
    }
}

#[cfg(test)]
mod tests {
    use super::super::mongo_uri::MongoConnection;
    use super::super::report::Report;
    use super::*;

    fn login(uri: &str) -> Result<Option<MongoLogin>, UriError> {
        MongoConnection::parse(uri, &mut Report::new(true, Vec::new())).map(|uri| uri.login)
    }

    fn auth_source(uri: &str) -> AuthSource {
        match login(uri).unwrap().unwrap() {
            MongoLogin::Password { auth_source, .. }
            | MongoLogin::Certificate { auth_source, .. } => auth_source,
        }
    }

    #[test]
    fn auth_source_is_the_option_then_the_path_then_admin() {
        let given = |name: &str| AuthSource::Given(name.to_owned());
        let usual = |name: &str| AuthSource::Default(name.to_owned());
        assert_eq!(auth_source("mongodb://u:a@h1/db.coll?authSource=zz"), given("zz"));
        assert_eq!(auth_source("mongodb://u:a@h1/foo"), usual("foo"));
        assert_eq!(auth_source("mongodb://u:@h1"), usual("admin"));
        assert_eq!(usual("foo").or_txt(Some("txt")), given("txt"));
        assert_eq!(given("zz").or_txt(Some("txt")), given("zz"));
    }

    /// As `ConnectionString` of the connector 2.0.1 has them.
    #[test]
    fn a_certificate_has_a_name_or_none_and_never_a_password() {
        let certificate = |name: Option<&str>, auth_source| {
            let username = name.map(str::to_owned);
            Ok(Some(MongoLogin::Certificate { username, auth_source }))
        };
        let external = EXTERNAL.to_owned();
        let usual = AuthSource::Default(external.clone());
        let of = |text: &str| login(&format!("mongodb://{text}authMechanism=MONGODB-X509"));
        assert_eq!(of("h/?"), certificate(None, usual.clone()));
        assert_eq!(of("h/db?"), certificate(None, usual.clone()));
        assert_eq!(of("CN%3Da@h/db?"), certificate(Some("CN=a"), usual));
        let given = AuthSource::Given(external);
        assert_eq!(of("h/db?authSource=%24external&"), certificate(None, given));
        assert_eq!(of("h/db?authSource=admin&"), Err(UriError::NotExternal));
        assert_eq!(of("CN%3Da:p@h/?"), Err(UriError::CertificateWithPassword));
        assert_eq!(of(":p@h/?"), Err(UriError::UserInfo));
    }

    #[test]
    fn a_mechanism_is_the_one_that_is_named_or_left_to_be_negotiated() {
        for (option, wanted) in [
            ("", None),
            ("authMechanism=SCRAM-SHA-256", Some(Mechanism::ScramSha256)),
            ("authMechanism=SCRAM-SHA-1", Some(Mechanism::ScramSha1)),
        ] {
            match login(&format!("mongodb://u:p@h/?{option}")) {
                Ok(Some(MongoLogin::Password { mechanism, .. })) => assert_eq!(mechanism, wanted),
                other => panic!("{option}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_mechanism_without_what_it_needs_is_refused() {
        for (uri, error) in [
            ("mongodb://h/?authMechanism=SCRAM-SHA-1", UriError::NoUsername),
            ("mongodb://u@h/?authMechanism=SCRAM-SHA-1", UriError::NoPassword),
            (
                "mongodb://u:p@h/?authMechanism=scram-sha-1",
                UriError::Mechanism("scram-sha-1".into()),
            ),
            ("mongodb://h/?authMechanism=SCRAM-SHA-256", UriError::NoUsername),
            ("mongodb://u@h/?authMechanism=SCRAM-SHA-256", UriError::NoPassword),
            ("mongodb://u@h/", UriError::NoPassword),
            ("mongodb://u:p@h/?authMechanism=GSSAPI", UriError::Mechanism("GSSAPI".to_owned())),
            ("mongodb://h/?authMechanism=mongodb-x509", UriError::Mechanism("mongodb-x509".into())),
        ] {
            assert_eq!(login(uri), Err(error), "{uri}");
        }
        assert_eq!(login("mongodb://h/?authSource=x"), Ok(None));
    }
}
