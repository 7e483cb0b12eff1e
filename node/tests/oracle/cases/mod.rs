//! The cases, by what they are about. A group has its cases, its writes and one law: nothing differs.

mod changes;
mod copies;
mod documents;
mod envelopes;
mod heartbeats;
mod random;
mod schemas;
mod scopes;
mod transforms;
mod values;

use anyhow::Result;

use super::case::Case;

/// Every case of every group.
pub(crate) fn all() -> Result<Vec<Case>> {
    let mut cases = envelopes::cases()?;
    cases.extend(values::cases());
    cases.extend(changes::cases());
    cases.extend(copies::cases());
    cases.extend(documents::cases());
    cases.extend(schemas::cases());
    cases.extend(scopes::cases());
    cases.extend(transforms::cases());
    cases.extend(random::cases());
    cases.extend(heartbeats::cases());
    Ok(cases)
}
