//! What of an answer about properties is not compared: of `config/validate`, and of a plug-in's `config`.
//!
//! What a property is for (our own words), our own properties, which converters and versions of them are offered,
//! blanks in the default schemas, and what is said of the `null` of a setting that is missing.

use serde_json::{Value, json};

use super::answers::Difference;

/// Takes out what is meant to differ.
pub(crate) fn normalize(body: &mut Value, difference: Difference) {
    let is_own = |group: &Value| group == "Millrace";
    if let Some(definitions) = body.as_array_mut() {
        definitions.retain(|definition| !is_own(&definition["group"]));
        definitions.iter_mut().for_each(normalize_definition);
    }
    if let Some(groups) = body.get_mut("groups").and_then(Value::as_array_mut) {
        groups.retain(|group| !is_own(group));
    }
    let doubled = drop_errors_about_null(body);
    if let Some(count) = body.get("error_count").and_then(Value::as_u64) {
        body["error_count"] = json!(count - doubled);
    }
    let Some(configs) = body.get_mut("configs").and_then(Value::as_array_mut) else { return };
    configs.retain(|config| !is_own(&config["definition"]["group"]));
    for config in configs.iter_mut() {
        normalize_definition(&mut config["definition"]);
        let value = &mut config["value"];
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        if name.ends_with("converter") || name.ends_with("converter.plugin.version") {
            value["recommended_values"] = json!("not compared");
        }
        if name.ends_with("converter.plugin.version") {
            value["value"] = json!("not compared");
        }
        if name.starts_with("output.schema.") {
            meaning(&mut value["value"]);
        }
        if difference == Difference::Reasons
            && let Some(errors) = value["errors"].as_array_mut()
        {
            errors.iter_mut().for_each(|error| *error = json!("an error"));
        }
    }
    // Settings of clients and converters come in the order of Java's hash maps.
    let is_setting = |config: &Value| {
        let name = config["value"]["name"].as_str().unwrap_or_default();
        let is_role = |role: &str| name.starts_with(role) && !name.ends_with("plugin.version");
        ["producer.override.", "key.converter.", "value.converter.", "header.converter."]
            .into_iter()
            .any(is_role)
    };
    configs.sort_by_key(|config| {
        let name = config["value"]["name"].as_str().unwrap_or_default();
        is_setting(config).then(|| name.to_owned())
    });
}

/// Of a setting that is missing Java says so, and then once more what is wrong with `null`. Returns how often it did.
fn drop_errors_about_null(body: &mut Value) -> u64 {
    let mut dropped = 0;
    for config in body.get_mut("configs").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = config["value"]["name"].as_str().unwrap_or_default();
        let is_of_alias = name.starts_with("transforms.") || name.starts_with("predicates.");
        let Some(errors) = config["value"]["errors"].as_array_mut() else { continue };
        let starts =
            |error: &Value, with| error.as_str().is_some_and(|text| text.starts_with(with));
        if is_of_alias && errors.iter().any(|error| starts(error, "Missing required configuration"))
        {
            let before = errors.len();
            errors.retain(|error| starts(error, "Missing required configuration"));
            dropped += (before - errors.len()) as u64;
        }
    }
    dropped
}

fn normalize_definition(definition: &mut Value) {
    let Some(name) = definition["name"].as_str().map(str::to_owned) else { return };
    definition["documentation"] = json!("not compared");
    if name.ends_with("converter.plugin.version") {
        definition["default_value"] = json!("not compared");
    }
    if name.starts_with("output.schema.") {
        meaning(&mut definition["default_value"]);
    }
}

/// Puts what a JSON text says in place of the text: blanks and the order of fields are anybody's own.
fn meaning(text: &mut Value) {
    if let Some(said) = text.as_str().and_then(|text| serde_json::from_str(text).ok()) {
        *text = said;
    }
}
