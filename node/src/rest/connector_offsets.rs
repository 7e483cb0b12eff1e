//! `/connectors/{c}/offsets`: where a connector goes on, shown, changed and forgotten.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::body::{Object, complete, ok};
use super::{Answer, RestError, Shared, resources};
use crate::offsets::NamedOffset;

pub(super) fn routes() -> Router<Shared> {
    resources([("/connectors/{connector}/offsets", get(show).patch(alter).delete(reset))])
}

async fn show(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    let offsets = complete(async move { shared.herder.offsets(&name).await }).await?;
    let offsets = offsets.into_iter().map(
        |NamedOffset { partition, offset }| json!({ "partition": partition, "offset": offset }),
    );
    Ok(ok(&json!({ "offsets": offsets.collect::<Vec<_>>() })))
}

async fn alter(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Object(body): Object,
) -> Answer {
    let offsets = read(body)?;
    let message = complete(async move { shared.herder.alter_offsets(&name, offsets).await });
    Ok(ok(&json!({ "message": message.await? })))
}

async fn reset(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    let message = complete(async move { shared.herder.reset_offsets(&name).await });
    Ok(ok(&json!({ "message": message.await? })))
}

/// Reads `{"offsets": [{"partition": {…}, "offset": {…}}, …]}`.
fn read(mut body: Map<String, Value>) -> Result<Vec<NamedOffset>, RestError> {
    let items = match body.remove("offsets") {
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(Value::Array(_) | Value::Null) | None => {
            return Err(RestError::bad_request(
                "Partitions / offsets need to be provided for an alter offsets request",
            ));
        }
        Some(_) => return Err(RestError::internal("offsets is no array")),
    };
    items.into_iter().map(read_one).collect()
}

fn read_one(item: Value) -> Result<NamedOffset, RestError> {
    let Value::Object(mut item) = item else {
        return Err(RestError::internal("an element of offsets is no object"));
    };
    let mut map = |field: &str| match item.remove(field) {
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(Value::Null) | None => Ok(None),
        Some(_) => Err(RestError::internal(format!("{field} is no object"))),
    };
    Ok(NamedOffset { partition: map("partition")?, offset: map("offset")? })
}
