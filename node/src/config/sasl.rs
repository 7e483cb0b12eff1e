//! Who we are to Kafka: `sasl.*` of its clients.
//!
//! Names, types and defaults are those of `SaslConfigs` of Kafka 4.1. They count only where `security.protocol` is
//! SASL_PLAINTEXT or SASL_SSL; elsewhere Java does not look at them either.

use millrace_core::kafka::sasl::{Login, Mechanism};

use super::error::{Reason, Shown};
use super::jaas::LoginModule;
use super::property::{Kind, Property, Values};
use super::report::Report;

const JAVA_CLASS: &str = "Java classes cannot be loaded; logging in by PLAIN and SCRAM is built in";
const SECURITY_PROVIDERS: &str =
    "Java's security providers cannot be loaded; connections are encrypted by rustls";
const KERBEROS: &str = "is for GSSAPI, which is not supported";
const OAUTH: &str = "is for OAUTHBEARER, which is not supported";
const OF_KERBEROS: &str = "How Java logs in by Kerberos; without effect here.";
const OF_OAUTH: &str = "How Java logs in by OAUTHBEARER; without effect here.";
const MECHANISMS: &str = "PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are";
const MODULES: [(&str, &str); 2] = [
    ("org.apache.kafka.common.security.plain.PlainLoginModule", "PLAIN"),
    ("org.apache.kafka.common.security.scram.ScramLoginModule", "SCRAM-SHA-256 and SCRAM-SHA-512"),
];

/// The properties of a Kafka client that say who it is.
pub(super) const SASL_PROPERTIES: &[Property] = &[
    Property::text("sasl.mechanism", "GSSAPI")
        .medium("How one logs in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."),
    Property::optional("sasl.jaas.config", Kind::Password)
        .medium("The login module with user and password, as in a JAAS file."),
    Property::optional("security.providers", Kind::Text)
        .not_yet(SECURITY_PROVIDERS)
        .low("Classes of Java's security providers; refused here."),
    Property::optional("sasl.client.callback.handler.class", Kind::Class)
        .not_yet(JAVA_CLASS)
        .medium("The class that answers a mechanism's questions; refused here."),
    Property::optional("sasl.login.callback.handler.class", Kind::Class)
        .not_yet(JAVA_CLASS)
        .medium("The class that answers a login's questions; refused here."),
    Property::optional("sasl.login.class", Kind::Class)
        .not_yet(JAVA_CLASS)
        .medium("The class that logs in; refused here."),
    Property::optional("sasl.login.connect.timeout.ms", Kind::Int).accepted(OAUTH).low(OF_OAUTH),
    Property::optional("sasl.login.read.timeout.ms", Kind::Int).accepted(OAUTH).low(OF_OAUTH),
    Property::long("sasl.login.retry.backoff.max.ms", "10000").accepted(OAUTH).low(OF_OAUTH),
    Property::long("sasl.login.retry.backoff.ms", "100").accepted(OAUTH).low(OF_OAUTH),
    Property::short("sasl.login.refresh.buffer.seconds", "300").accepted(OAUTH).low(OF_OAUTH),
    Property::short("sasl.login.refresh.min.period.seconds", "60").accepted(OAUTH).low(OF_OAUTH),
    Property::text("sasl.login.refresh.window.factor", "0.8").accepted(OAUTH).low(OF_OAUTH),
    Property::text("sasl.login.refresh.window.jitter", "0.05").accepted(OAUTH).low(OF_OAUTH),
    Property::text("sasl.kerberos.kinit.cmd", "/usr/bin/kinit").accepted(KERBEROS).low(OF_KERBEROS),
    Property::long("sasl.kerberos.min.time.before.relogin", "60000")
        .accepted(KERBEROS)
        .low(OF_KERBEROS),
    Property::optional("sasl.kerberos.service.name", Kind::Text)
        .accepted(KERBEROS)
        .medium(OF_KERBEROS),
    Property::text("sasl.kerberos.ticket.renew.jitter", "0.05").accepted(KERBEROS).low(OF_KERBEROS),
    Property::text("sasl.kerberos.ticket.renew.window.factor", "0.8")
        .accepted(KERBEROS)
        .low(OF_KERBEROS),
    Property::text("sasl.oauthbearer.assertion.algorithm", "RS256")
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.assertion.claim.aud", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::int("sasl.oauthbearer.assertion.claim.exp.seconds", "300")
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.assertion.claim.iss", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::boolean("sasl.oauthbearer.assertion.claim.jti.include", "false")
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::int("sasl.oauthbearer.assertion.claim.nbf.seconds", "60")
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.assertion.claim.sub", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.assertion.file", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.assertion.private.key.file", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.assertion.private.key.passphrase", Kind::Password)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.assertion.template.file", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.client.credentials.client.id", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.client.credentials.client.secret", Kind::Password)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::int("sasl.oauthbearer.clock.skew.seconds", "30").accepted(OAUTH).low(OF_OAUTH),
    Property::optional("sasl.oauthbearer.expected.audience", Kind::List)
        .accepted(OAUTH)
        .low(OF_OAUTH),
    Property::optional("sasl.oauthbearer.expected.issuer", Kind::Text)
        .accepted(OAUTH)
        .low(OF_OAUTH),
    Property::boolean("sasl.oauthbearer.header.urlencode", "false").accepted(OAUTH).low(OF_OAUTH),
    Property::long("sasl.oauthbearer.jwks.endpoint.refresh.ms", "3600000")
        .accepted(OAUTH)
        .low(OF_OAUTH),
    Property::long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", "10000")
        .accepted(OAUTH)
        .low(OF_OAUTH),
    Property::long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "100")
        .accepted(OAUTH)
        .low(OF_OAUTH),
    Property::optional("sasl.oauthbearer.jwks.endpoint.url", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.jwt.retriever.class", Kind::Class)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.jwt.validator.class", Kind::Class)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
    Property::optional("sasl.oauthbearer.scope", Kind::Text).accepted(OAUTH).medium(OF_OAUTH),
    Property::text("sasl.oauthbearer.scope.claim.name", "scope").accepted(OAUTH).low(OF_OAUTH),
    Property::text("sasl.oauthbearer.sub.claim.name", "sub").accepted(OAUTH).low(OF_OAUTH),
    Property::optional("sasl.oauthbearer.token.endpoint.url", Kind::Text)
        .accepted(OAUTH)
        .medium(OF_OAUTH),
];

/// How we log in at brokers; `Ok(None)`: not at all; `Err`: a problem was reported. `prefix` stands before the names
/// in the file.
pub(super) fn login(
    values: &Values,
    prefix: &str,
    report: &mut Report,
) -> Result<Option<Login>, ()> {
    let protocol = values.text("security.protocol").to_ascii_lowercase();
    if !protocol.starts_with("sasl_") {
        return Ok(None);
    }
    let mechanism = mechanism(values.text("sasl.mechanism"));
    let mechanism = mechanism.map_err(|(shown, reason)| {
        report.refuse(&format!("{prefix}sasl.mechanism"), shown, reason);
    });
    let user = user(values.text("sasl.jaas.config")).map_err(|reason| {
        report.refuse(&format!("{prefix}sasl.jaas.config"), Shown::Hidden, reason);
    });
    let (mechanism, (username, password)) = (mechanism?, user?);
    Ok(Some(Login { mechanism, username, password }))
}

fn mechanism(name: &str) -> Result<Mechanism, (Shown, Reason)> {
    let refused = |reason| Err((Shown::Text(name.to_owned()), reason));
    if name.is_empty() {
        let text = "When the security.protocol configuration enables SASL, mechanism must be \
                    non-null and non-empty string.";
        return refused(Reason::Conflict(text.to_owned()));
    }
    let known = Mechanism::ALL.into_iter().find(|known| known.name() == name);
    known.map_or_else(
        || refused(Reason::Login(format!("{name} is not supported, {MECHANISMS}"))),
        Ok,
    )
}

/// User and password of `sasl.jaas.config`.
fn user(jaas: &str) -> Result<(String, String), Reason> {
    if jaas.is_empty() {
        let text = format!(
            "Could not find a 'KafkaClient' entry in the JAAS configuration. Write the login module here: {} required \
             username=\"…\" password=\"…\";",
            MODULES[1].0
        );
        return Err(Reason::Login(text));
    }
    let LoginModule { class, mut options } = LoginModule::parse(jaas).map_err(Reason::Jaas)?;
    if MODULES.iter().all(|(known, _)| *known != class) {
        let known = MODULES.map(|(known, mechanisms)| format!("{known} for {mechanisms}"));
        let text = format!("the login module {class} is not supported; use {}", known.join(", "));
        return Err(Reason::Login(text));
    }
    if options.get("tokenauth").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        let text =
            "tokenauth: delegation tokens are not supported; use the name and password of a user";
        return Err(Reason::Login(text.to_owned()));
    }
    let mut option = |name: &str| {
        let missing = || Reason::Login(format!("the login module {class} has no {name}"));
        options.remove(name).ok_or_else(missing)
    };
    Ok((option("username")?, option("password")?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use millrace_core::kafka::sasl::Hash;

    use super::super::error::Subject;
    use super::super::producer::{check_names, parse_producer};
    use super::super::report::Notice;
    use super::super::worker::{Mode, WorkerConfig};
    use super::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
    const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

    /// The login of a connector in a worker, each with these lines; or what is wrong.
    fn login(
        worker: &[(&str, &str)],
        connector: &[(&str, &str)],
    ) -> Result<(Option<Login>, Vec<Notice>), String> {
        let map = |lines: &[(&str, &str)]| -> BTreeMap<String, String> {
            lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut report = Report::new(false, Vec::new());
        check_names(&map(worker), "producer.", &mut report);
        let settings = parse_producer(&map(worker), &map(connector), &mut report);
        let checked = report.finish("c".as_ref(), Subject::Connector, settings);
        let (settings, notices) = checked.map_err(|error| error.to_string())?;
        Ok((settings.security.login, notices))
    }

    fn jaas(module: &str) -> String {
        format!("{module} required username=\"u\" password=\"s3cret\";")
    }

    fn user(mechanism: Mechanism) -> Option<Login> {
        let (username, password) = ("u".to_owned(), "s3cret".to_owned());
        Some(Login { mechanism, username, password })
    }

    #[test]
    fn every_mechanism_is_read_over_encrypted_connections_and_others() {
        for (mechanism, module) in [
            (Mechanism::Plain, PLAIN),
            (Mechanism::Scram(Hash::Sha256), SCRAM),
            (Mechanism::Scram(Hash::Sha512), SCRAM),
        ] {
            for protocol in ["SASL_SSL", "sasl_plaintext"] {
                let jaas = jaas(module);
                let lines = [
                    ("security.protocol", protocol),
                    ("sasl.mechanism", mechanism.name()),
                    ("sasl.jaas.config", &jaas),
                ];
                assert_eq!(login(&lines, &[]).unwrap(), (user(mechanism), Vec::new()));
                assert_eq!(login(&[], &lines).unwrap().0, user(mechanism));
            }
        }
    }

    #[test]
    fn a_connector_logs_in_as_itself_if_it_says_so() {
        let (scram, own) = (jaas(SCRAM), jaas(PLAIN).replace("\"u\"", "\"other\""));
        let worker = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.jaas.config", &scram),
        ];
        let connector = [("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &own)];
        let (found, _) = login(&worker, &connector).unwrap();
        let username = "other".to_owned();
        let wanted = Login { username, ..user(Mechanism::Plain).unwrap() };
        assert_eq!(found, Some(wanted));
        let clear = [("security.protocol", "PLAINTEXT")];
        assert_eq!(login(&worker, &clear).unwrap().0, None, "Java does not look at sasl.* then");
    }

    #[test]
    fn the_worker_logs_in_by_its_own_lines() {
        let text = format!(
            "key.converter=StringConverter\nvalue.converter=StringConverter\noffset.storage.topic=t\n\
             security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config={}",
            jaas(PLAIN)
        );
        let (worker, notices) =
            WorkerConfig::parse(Path::new("w.properties"), text.as_bytes(), Mode::Standalone, true)
                .unwrap();
        assert_eq!(worker.security.login, user(Mechanism::Plain));
        assert_eq!(worker.security.tls, None);
        assert!(notices[0].text.contains("producer.security.protocol"), "{notices:?}");
        assert!(!format!("{worker:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_log_in_is_refused_by_name_and_without_its_secrets() {
        let plain = jaas(PLAIN);
        let kerberos = jaas("com.sun.security.auth.module.Krb5LoginModule");
        let (token, nobody) = (
            format!("{SCRAM} required username=\"u\" password=\"s3cret\" tokenauth=\"true\";"),
            format!("{SCRAM} required password=\"s3cret\";"),
        );
        for (mechanism, jaas, said) in [
            (
                "GSSAPI",
                &*plain,
                "sasl.mechanism: GSSAPI is not supported, PLAIN, SCRAM-SHA-256 and",
            ),
            ("OAUTHBEARER", &plain, "OAUTHBEARER is not supported"),
            ("plain", &plain, "plain is not supported"),
            ("", &plain, "mechanism must be non-null and non-empty string."),
            ("PLAIN", "", "Could not find a 'KafkaClient' entry in the JAAS configuration"),
            ("PLAIN", &kerberos, "com.sun.security.auth.module.Krb5LoginModule is not supported"),
            ("SCRAM-SHA-256", &token, "tokenauth"),
            ("SCRAM-SHA-256", &nobody, "has no username"),
            ("PLAIN", "M required password=s3cret", "not terminated by semi-colon"),
            ("PLAIN", "M required password=my s3cret;", "Value not specified for key '[hidden]'"),
        ] {
            let error = login(
                &[("security.protocol", "SASL_SSL")],
                &[("sasl.mechanism", mechanism), ("sasl.jaas.config", jaas)],
            );
            let error = error.unwrap_err();
            assert!(error.contains(said), "{error}");
            assert!(error.contains("for configuration producer.override.sasl."), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let usual = login(&[("security.protocol", "SASL_SSL")], &[]).unwrap_err();
        assert!(usual.contains("GSSAPI is not supported"), "the default of Java: {usual}");
    }

    #[test]
    fn settings_of_other_mechanisms_are_taken_with_a_note() {
        let lines = [("sasl.kerberos.service.name", "kafka"), ("sasl.oauthbearer.scope", "x")];
        let (_, notices) = login(&lines, &[]).unwrap();
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].text.ends_with("is for GSSAPI, which is not supported"));
        let defaults = SASL_PROPERTIES.iter().filter_map(|property| {
            Some((property.name, property.default?)).filter(|(name, _)| *name != "sasl.mechanism")
        });
        assert_eq!(login(&[], &defaults.collect::<Vec<_>>()).unwrap().1, []);
    }
}
