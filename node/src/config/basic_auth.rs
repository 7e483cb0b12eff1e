//! `rest.extension.classes`: Basic authentication of the REST interface, the one extension that there is.
//!
//! ```text
//! KAFKA_OPTS=-Djava.security.auth.login.config=/etc/connect.jaas      or rest.basic.auth.jaas.file=/etc/connect.jaas
//!   /etc/connect.jaas    KafkaConnect { ….PropertyFileLoginModule required file="/etc/connect.users"; };
//!   /etc/connect.users   admin=secret                                  a properties file; read once, as in Java
//! ```
//!
//! Java takes an empty file of users to mean that everybody is let in. Here it is refused.

use std::collections::BTreeMap;

use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

use super::connector_file::read_file;
use super::error::{Reason, Shown};
use super::jaas::{self, JaasError, LoginModule};
use super::properties;
use super::property::Values;
use super::report::Report;
use super::secret::Secret;

/// The property that names the JAAS file, for whoever has no `KAFKA_OPTS`.
const JAAS_FILE: &str = "rest.basic.auth.jaas.file";
const EXTENSIONS: &str = "rest.extension.classes";
const EXTENSION: &str =
    "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
const LOGIN_MODULE: &str =
    "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
const ENTRY: &str = "KafkaConnect";
const OTHERS: &str = "REST extensions are Java classes and cannot be loaded; the one that is built in is \
                      org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";

/// Who may use the REST interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BasicUsers {
    /// Names with their passwords; at least one.
    users: Vec<(String, Secret)>,
}

/// Why nobody could log in. Holds no password.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum BasicError {
    #[error(
        "it lets users in that a JAAS file names; name the file in {JAAS_FILE}, or in KAFKA_OPTS as \
         -Djava.security.auth.login.config=FILE"
    )]
    NoFile,
    #[error("{0}")]
    Unreadable(String),
    #[error("{path}: {error}")]
    Malformed { path: String, error: JaasError },
    #[error(
        "{0} has no entry {ENTRY} with a login module; write {ENTRY} {{ {LOGIN_MODULE} required file=\"…\"; }};"
    )]
    NoEntry(String),
    #[error(
        "{path}: the login module {class} is a Java class and cannot be loaded; use {LOGIN_MODULE}"
    )]
    Module { path: String, class: String },
    #[error("{0}: Property Credentials file must be specified, as file=\"…\" of the login module")]
    NoUsersFile(String),
    #[error(
        "{0} names no user, and Java would let everybody in; write lines of the form user=password"
    )]
    NoUser(String),
}

impl BasicUsers {
    /// Those that `rest.extension.classes` asks for; `None` if it asks for nothing, or a problem was reported.
    pub(super) fn new(values: &Values, kafka_opts: &str, report: &mut Report) -> Option<Self> {
        let is_basic =
            |class: &String| class == EXTENSION || EXTENSION.ends_with(&format!(".{class}"));
        let (basic, others): (Vec<_>, Vec<_>) =
            values.list(EXTENSIONS).iter().partition(|class| is_basic(class));
        for class in others {
            report.refuse(EXTENSIONS, Shown::Text(class.clone()), Reason::NotYet(OTHERS));
        }
        let class = basic.first()?;
        let file = Some(values.text(JAAS_FILE)).filter(|file| !file.is_empty());
        match Self::read(file.or_else(|| login_config(kafka_opts))) {
            Ok(users) => Some(users),
            Err(error) => {
                report.refuse(EXTENSIONS, Shown::Text((*class).clone()), Reason::Basic(error));
                None
            }
        }
    }

    fn read(jaas_file: Option<&str>) -> Result<Self, BasicError> {
        let path = jaas_file.ok_or(BasicError::NoFile)?;
        let text = String::from_utf8_lossy(&bytes_of(path)?).into_owned();
        let modules = jaas::entry(&text, ENTRY)
            .map_err(|error| BasicError::Malformed { path: path.to_owned(), error })?
            .filter(|modules| !modules.is_empty())
            .ok_or_else(|| BasicError::NoEntry(path.to_owned()))?;
        let mut known = Vec::new();
        for module in &modules {
            known.extend(users(path, module)?);
        }
        Ok(Self { users: known })
    }

    /// Whether this is a user's own password. How long that takes tells nothing of who there is and what is right.
    pub(crate) fn admit(&self, user: &str, password: &str) -> bool {
        let is = |known: &str, given: &str| known.as_bytes().ct_eq(given.as_bytes());
        let fits = self.users.iter().map(|(name, own)| is(name, user) & is(own.expose(), password));
        fits.fold(Choice::from(0), |any, fits| any | fits).into()
    }
}

/// The users of one login module. Of several modules Java lets in whom any knows, whatever their flags.
fn users(path: &str, module: &LoginModule) -> Result<BTreeMap<String, Secret>, BasicError> {
    if module.class != LOGIN_MODULE {
        let (path, class) = (path.to_owned(), module.class.clone());
        return Err(BasicError::Module { path, class });
    }
    let file = module.options.get("file").map_or("", |file| file.trim());
    if file.is_empty() {
        return Err(BasicError::NoUsersFile(path.to_owned()));
    }
    let parsed = properties::parse(&bytes_of(file)?).map_err(|at| {
        BasicError::Unreadable(format!("{file}:{}:{}: {}", at.line, at.column, at.reason))
    })?;
    if parsed.entries.is_empty() {
        return Err(BasicError::NoUser(file.to_owned()));
    }
    // Of a doubled user the last counts.
    Ok(parsed.entries.into_iter().map(|entry| (entry.key, Secret::new(entry.value))).collect())
}

fn bytes_of(path: &str) -> Result<Vec<u8>, BasicError> {
    read_file(path.as_ref()).map_err(|error| BasicError::Unreadable(error.to_string()))
}

/// The file that options of Java name for JAAS. Of several the last counts, as in Java.
fn login_config(kafka_opts: &str) -> Option<&str> {
    let options = kafka_opts.split_ascii_whitespace();
    let mut named =
        options.filter_map(|option| option.strip_prefix("-Djava.security.auth.login.config="));
    // A second = says that the file is the only one, and Java takes an address as well.
    let file = named.next_back()?.trim_start_matches('=');
    Some(file.strip_prefix("file://").or_else(|| file.strip_prefix("file:")).unwrap_or(file))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn users_of_all_modules_are_let_in_with_their_own_passwords() {
        let folder = tempfile::tempdir().unwrap();
        let one = write(folder.path(), "one", "# users\nanna = s3:cret\nb\\ o:=x\nanna=later\n");
        let two = write(folder.path(), "two", "anna=other\nécole=é\n");
        let module = |file: &str| format!("{LOGIN_MODULE} sufficient file=\"{file}\";");
        let text = format!("{ENTRY} {{ {} {} }};", module(&one), module(&two));
        let users = BasicUsers::read(Some(&write(folder.path(), "jaas", &text))).unwrap();
        for (user, password, is_let_in) in [
            ("anna", "later", true),
            ("anna", "s3:cret", false),
            ("anna", "other", true),
            ("anna", "=x", false),
            ("anna", "", false),
            ("anna", "later ", false),
            ("b o", "=x", true),
            ("école", "é", true),
            ("Anna", "later", false),
            ("nobody", "", false),
            ("nobody", "later", false),
        ] {
            assert_eq!(users.admit(user, password), is_let_in, "{user}:{password}");
        }
        assert!(!format!("{users:?}").contains("later"));
    }

    #[test]
    fn file_that_would_let_in_nobody_or_everybody_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |text: &str| {
            let path = write(folder.path(), "jaas", text);
            BasicUsers::read(Some(&path)).unwrap_err().to_string()
        };
        let empty = write(folder.path(), "empty", "# nobody\n");
        let connect = |module: &str| refusal(&format!("{ENTRY} {{ {module}; }};"));
        assert!(BasicUsers::read(None).unwrap_err().to_string().contains("KAFKA_OPTS"));
        assert!(refusal("KafkaClient { a.B required; };").contains("no entry KafkaConnect"));
        assert!(refusal("KafkaConnect { };").contains("no entry KafkaConnect"));
        assert!(refusal("KafkaConnect {").contains("closing brace"));
        let other = connect("com.example.LdapLoginModule required");
        assert!(other.contains("com.example.LdapLoginModule is a Java class"), "{other}");
        let no_file = connect(&format!("{LOGIN_MODULE} required"));
        assert!(no_file.contains("Property Credentials file must be specified"), "{no_file}");
        let gone = connect(&format!("{LOGIN_MODULE} required file=\"/nowhere/users\""));
        assert!(gone.contains("/nowhere/users failed"), "{gone}");
        let nobody = connect(&format!("{LOGIN_MODULE} required file=\"{empty}\""));
        assert!(nobody.contains(&format!("{empty} names no user")), "{nobody}");
    }

    #[test]
    fn file_is_found_among_the_options_of_java() {
        assert_eq!(login_config(""), None);
        assert_eq!(login_config("-Xmx1g -Djava.security.krb5.conf=/k"), None);
        let named =
            "-Djava.security.auth.login.config=/a  -Xmx1g\n-Djava.security.auth.login.config=";
        for (file, path) in [("/b", "/b"), ("=/b", "/b"), ("file:/b", "/b"), ("file:///b", "/b")] {
            assert_eq!(login_config(&format!("{named}{file} -ea")), Some(path), "{file}");
        }
    }
}
