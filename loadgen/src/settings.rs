//! A load as a user writes it down, and as a record keeps it.
//!
//! ```toml
//! seed = 42                       # all of these may be left out
//! database = "millrace_load"
//! collection = "events"           # with collections above 1: what their names begin with
//! collections = 1
//! operations = 100_000
//! writers = 4
//! connections = 64
//! poisson = false                 # random gaps
//!
//! [profile]                       # left out: as fast as it goes
//! kind = "burst"                  # constant per_s | ramp from_per_s to_per_s over_s | steps steps = [{ per_s, lasts_s }]
//! base_per_s = 100                # burst base_per_s peak_per_s every_s lasts_s
//! peak_per_s = 5_000              # sine mean_per_s amplitude_per_s period_s | trace file
//! every_s = 10
//! lasts_s = 1
//!
//! [mix]                           # weights; deltas and transactions as below
//! insert = 10
//! update = 90
//! deltas = { set = 1, inc = 1, push = 1, pop = 1, truncate = 1, element = 1, unset = 1 }
//! transactions = { operations = 5, share = 0.2 }
//!
//! [keys]
//! spread = "zipf"                 # uniform | skewed | zipf theta | hot-set keys operations
//! theta = 0.99
//!
//! [document]
//! shape = "plain"                 # a name of `shape.rs`; bytes and fields may be set beside it
//! bytes = 1_024                   # or: template = "order.json"
//!
//! [write_concern]
//! w = "majority"                  # or a number
//! journal = true
//! ```
//!
//! Settings that are printed after a run are complete: a template stands in them as text, the operations are those
//! that were written. With them the ledger of the run can be derived anywhere.

use std::fmt;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arrivals::{Profile, ProfileError, Rate, TraceError};
use crate::document::{DocumentShape, Documents, Template, TemplateError};
use crate::workload::{Collections, Deltas, KeySpread, Mix, Transactions, Workload, WorkloadError};
use crate::writer::{CONNECTIONS, WriteConcern};

/// Operations unless asked otherwise.
const OPERATIONS: u64 = 100_000;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(
    missing_docs,
    reason = "the settings are described above, and their meaning where they lead to"
)]
pub struct LoadSettings {
    pub seed: u64,
    pub database: String,
    pub collection: String,
    pub collections: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    pub writers: u32,
    pub connections: NonZero<u32>,
    pub poisson: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileSettings>,
    pub mix: MixSettings,
    pub keys: KeySettings,
    pub document: DocumentSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_concern: Option<WriteConcernSettings>,
}

impl Default for LoadSettings {
    fn default() -> Self {
        Self {
            seed: 42,
            database: "millrace_load".to_owned(),
            collection: "events".to_owned(),
            collections: 1,
            operations: None,
            writers: 4,
            connections: CONNECTIONS,
            poisson: false,
            profile: None,
            mix: MixSettings::default(),
            keys: KeySettings::Uniform {},
            document: DocumentSettings::default(),
            write_concern: None,
        }
    }
}

/// A rate over time: see [`Profile`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "see the constructors of Profile")]
pub enum ProfileSettings {
    Constant { per_s: f64 },
    Ramp { from_per_s: f64, to_per_s: f64, over_s: f64 },
    Steps { steps: Vec<StepSettings> },
    Burst { base_per_s: f64, peak_per_s: f64, every_s: f64, lasts_s: f64 },
    Sine { mean_per_s: f64, amplitude_per_s: f64, period_s: f64 },
    Trace { file: PathBuf },
}

/// One rate for some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see Profile::steps")]
pub struct StepSettings {
    pub per_s: f64,
    pub lasts_s: f64,
}

/// See [`Mix`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see Mix")]
pub struct MixSettings {
    #[serde(default)]
    pub insert: u16,
    #[serde(default)]
    pub update: u16,
    #[serde(default)]
    pub replace: u16,
    #[serde(default)]
    pub delete: u16,
    #[serde(default)]
    pub deltas: DeltaSettings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<TransactionSettings>,
}

impl Default for MixSettings {
    fn default() -> Self {
        Mix::INSERTS.into()
    }
}

impl From<Mix> for MixSettings {
    fn from(mix: Mix) -> Self {
        let Mix { insert, update, replace, delete, deltas, transactions } = mix;
        let Deltas { set, unset, inc, push, pop, truncate, element } = deltas;
        let deltas = DeltaSettings { set, unset, inc, push, pop, truncate, element };
        let transactions = transactions.are_used().then(|| TransactionSettings {
            operations: transactions.operations,
            share: f64::from(transactions.permille) / 1_000.0,
        });
        Self { insert, update, replace, delete, deltas, transactions }
    }
}

/// See [`Deltas`]. Left out altogether it is `set` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see Deltas")]
pub struct DeltaSettings {
    #[serde(default)]
    pub set: u16,
    #[serde(default)]
    pub unset: u16,
    #[serde(default)]
    pub inc: u16,
    #[serde(default)]
    pub push: u16,
    #[serde(default)]
    pub pop: u16,
    #[serde(default)]
    pub truncate: u16,
    #[serde(default)]
    pub element: u16,
}

impl Default for DeltaSettings {
    fn default() -> Self {
        MixSettings::default().deltas
    }
}

/// See [`Transactions`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see Transactions")]
pub struct TransactionSettings {
    pub operations: u16,
    /// Of the turns, 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

fn all() -> f64 {
    1.0
}

/// See [`KeySpread`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "spread", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "see KeySpread; shares are numbers from 0 to 1")]
pub enum KeySettings {
    Uniform {},
    Skewed {},
    Zipf { theta: f64 },
    HotSet { keys: f64, operations: f64 },
}

/// A shape by its name, or a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see DocumentShape and Template")]
pub struct DocumentSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<u32>,
    /// A file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
    /// The text of such a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_json: Option<String>,
}

impl Default for DocumentSettings {
    fn default() -> Self {
        let shape = Some("plain".to_owned());
        Self { shape, bytes: None, fields: None, template: None, template_json: None }
    }
}

/// See [`WriteConcern`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see WriteConcern")]
pub struct WriteConcernSettings {
    pub w: Members,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<bool>,
}

/// `w` is a word or a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "w is \"majority\" or a number of members")]
#[allow(missing_docs, reason = "see Acknowledgement")]
pub enum Members {
    Count(u32),
    Name(String),
}

/// Why settings cannot be run.
#[derive(Debug)]
pub enum SettingsError {
    /// They are no TOML, or hold a setting that there is not.
    Syntax(toml::de::Error),
    /// A file that they name cannot be read.
    File {
        /// As it was looked for.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// No shape has this name.
    Shape(String),
    /// A shape and a template, or two templates.
    DocumentTwice,
    /// The template is wrong.
    Template(TemplateError),
    /// The trace is wrong.
    Trace(TraceError),
    /// The profile is impossible.
    Profile(ProfileError),
    /// A time that cannot be.
    Seconds(f64),
    /// A share or an exponent out of its bounds.
    Share {
        /// Its name.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be at most.
        most: f64,
    },
    /// A write concern that there is not.
    WriteConcern(String),
    /// The workload is impossible.
    Workload(WorkloadError),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "{}", error.to_string().trim_end()),
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Shape(name) => {
                let names = DocumentShape::NAMED.map(|(name, _)| name).join(", ");
                write!(f, "no shape of documents is called {name:?}: there are {names}")
            }
            Self::DocumentTwice => write!(
                f,
                "documents follow a shape or one template: give shape, template or template_json, and bytes and fields \
                 only with a shape"
            ),
            Self::Template(error) => write!(f, "the template of documents is wrong: {error}"),
            Self::Trace(error) => write!(f, "the trace is wrong: {error}"),
            Self::Profile(error) => write!(f, "the profile is impossible: {error}"),
            Self::Seconds(seconds) => {
                write!(f, "{seconds} s is no time: give seconds above zero, at most a day")
            }
            Self::Share { name, value, most } => {
                write!(f, "{name} = {value} is not possible: give a number from 0 to {most}")
            }
            Self::WriteConcern(fault) => f.write_str(fault),
            Self::Workload(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SettingsError {}

/// A load that can be run: every rule was checked.
#[derive(Clone, Debug)]
pub struct Load {
    /// What is written.
    pub workload: Workload,
    /// When; `None` is as fast as it goes.
    pub profile: Option<Profile>,
    /// Operations in flight at most, where there is a profile.
    pub connections: NonZero<u32>,
    /// When an operation counts as done.
    pub write_concern: WriteConcern,
    /// What it was made from, complete.
    pub settings: LoadSettings,
}

impl LoadSettings {
    /// Reads the text of a settings file.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(SettingsError::Syntax)
    }

    /// As the text of a settings file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are tables of plain values")
    }

    /// Checks everything and reads the files that are named, relative to `folder`.
    pub fn resolve(&self, folder: &Path) -> Result<Load, SettingsError> {
        let profile = self.resolve_profile(folder)?;
        let traced = profile.as_ref().and_then(Profile::events_max);
        let operations = self.operations.unwrap_or(traced.unwrap_or(OPERATIONS));
        if let Some(profile) = &profile {
            // Whether there are so many is known without their times.
            let without_gaps = profile.events_max().is_some_and(|most| most < operations);
            if without_gaps {
                profile.arrivals(operations).map_err(SettingsError::Profile)?;
            }
        }
        let (document, template_json) = self.document.resolve(folder)?;
        let workload = Workload {
            seed: self.seed,
            database: self.database.clone(),
            collections: if self.collections == 1 {
                Collections::one(&self.collection)
            } else {
                Collections::Numbered { prefix: self.collection.clone(), count: self.collections }
            },
            operations,
            writers: self.writers,
            mix: self.mix.resolve()?,
            document,
            key_spread: self.keys.resolve()?,
        };
        workload.check().map_err(SettingsError::Workload)?;
        let write_concern = match &self.write_concern {
            Some(settings) => settings.resolve()?,
            None if profile.is_some() => WriteConcern::MAJORITY,
            None => WriteConcern::ONE,
        };
        let mut settings = self.clone();
        settings.operations = Some(operations);
        if template_json.is_some() {
            settings.document =
                DocumentSettings { template: None, template_json, ..self.document.clone() };
        }
        Ok(Load { workload, profile, connections: self.connections, write_concern, settings })
    }

    fn resolve_profile(&self, folder: &Path) -> Result<Option<Profile>, SettingsError> {
        let Some(settings) = &self.profile else { return Ok(None) };
        let profile = settings.resolve(folder)?;
        let profile = if self.poisson { profile.poisson(self.seed) } else { Ok(profile) };
        profile.map(Some).map_err(SettingsError::Profile)
    }
}

impl ProfileSettings {
    fn resolve(&self, folder: &Path) -> Result<Profile, SettingsError> {
        let rate = |per_s: f64| Rate::per_s(per_s).map_err(SettingsError::Profile);
        let profile = match self {
            Self::Constant { per_s } => Profile::constant(rate(*per_s)?),
            Self::Ramp { from_per_s, to_per_s, over_s } => {
                Profile::ramp(rate(*from_per_s)?, rate(*to_per_s)?, seconds(*over_s)?)
            }
            Self::Steps { steps } => {
                let steps =
                    steps.iter().map(|step| Ok((rate(step.per_s)?, seconds(step.lasts_s)?)));
                Profile::steps(steps.collect::<Result<Vec<_>, SettingsError>>()?)
            }
            Self::Burst { base_per_s, peak_per_s, every_s, lasts_s } => {
                let (every, lasts) = (seconds(*every_s)?, seconds(*lasts_s)?);
                Profile::burst(rate(*base_per_s)?, rate(*peak_per_s)?, every, lasts)
            }
            Self::Sine { mean_per_s, amplitude_per_s, period_s } => {
                Profile::sine(rate(*mean_per_s)?, rate(*amplitude_per_s)?, seconds(*period_s)?)
            }
            Self::Trace { file } => {
                return Profile::trace(&read(folder, file)?).map_err(SettingsError::Trace);
            }
        };
        profile.map_err(SettingsError::Profile)
    }
}

impl MixSettings {
    fn resolve(&self) -> Result<Mix, SettingsError> {
        let Self { insert, update, replace, delete, deltas, transactions } = *self;
        let DeltaSettings { set, unset, inc, push, pop, truncate, element } = deltas;
        let deltas = Deltas { set, unset, inc, push, pop, truncate, element };
        let transactions = match transactions {
            Some(TransactionSettings { operations, share }) => {
                Transactions { operations, permille: thousandths("share", share, 1.0)? }
            }
            None => Transactions::NONE,
        };
        Ok(Mix { insert, update, replace, delete, deltas, transactions })
    }
}

impl KeySettings {
    fn resolve(self) -> Result<KeySpread, SettingsError> {
        Ok(match self {
            Self::Uniform {} => KeySpread::Uniform,
            Self::Skewed {} => KeySpread::Skewed,
            Self::Zipf { theta } => {
                KeySpread::Zipf { theta_permille: thousandths("theta", theta, 5.0)? }
            }
            Self::HotSet { keys, operations } => KeySpread::HotSet {
                keys_permille: thousandths("keys", keys, 1.0)?,
                operations_permille: thousandths("operations", operations, 1.0)?,
            },
        })
    }
}

impl DocumentSettings {
    /// The documents, and the text of their template if they have one.
    fn resolve(&self, folder: &Path) -> Result<(Documents, Option<String>), SettingsError> {
        let Self { shape, bytes, fields, template, template_json } = self;
        let text = match (template, template_json) {
            (Some(_), Some(_)) => return Err(SettingsError::DocumentTwice),
            (Some(file), None) => Some(read(folder, file)?),
            (None, Some(text)) => Some(text.clone()),
            (None, None) => None,
        };
        if let Some(text) = text {
            if shape.is_some() || bytes.is_some() || fields.is_some() {
                return Err(SettingsError::DocumentTwice);
            }
            let template = Template::parse(&text).map_err(SettingsError::Template)?;
            return Ok((template.into(), Some(text)));
        }
        let name = shape.as_deref().unwrap_or("plain");
        let named = DocumentShape::named(name);
        let mut shape = named.ok_or_else(|| SettingsError::Shape(name.to_owned()))?;
        shape.bytes = bytes.unwrap_or(shape.bytes);
        shape.fields = fields.unwrap_or(shape.fields);
        Ok((shape.into(), None))
    }
}

impl WriteConcernSettings {
    fn resolve(&self) -> Result<WriteConcern, SettingsError> {
        let text = match &self.w {
            Members::Count(members) => members.to_string(),
            Members::Name(name) => name.clone(),
        };
        let acknowledgement = text.parse().map_err(SettingsError::WriteConcern)?;
        Ok(WriteConcern { acknowledgement, journal: self.journal })
    }
}

fn read(folder: &Path, file: &Path) -> Result<String, SettingsError> {
    let path = folder.join(file);
    fs::read_to_string(&path).map_err(|error| SettingsError::File { path, error })
}

fn seconds(seconds: f64) -> Result<Duration, SettingsError> {
    Duration::try_from_secs_f64(seconds).map_err(|_| SettingsError::Seconds(seconds))
}

fn thousandths(name: &'static str, value: f64, most: f64) -> Result<u16, SettingsError> {
    if (0.0..=most).contains(&value) {
        Ok((value * 1_000.0).round() as u16)
    } else {
        Err(SettingsError::Share { name, value, most })
    }
}

#[cfg(test)]
mod tests;
