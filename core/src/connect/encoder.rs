//! From a document to the bytes of a key or value, by way of a schema.

use std::sync::Arc;

use super::datum::Datum;
use super::error::ConversionError;
use super::json::JsonSettings;
use super::schema::Schema;
use super::{inference, java_text, json, projection};
use crate::format::JsonFormatter;
use crate::mongo::bson::RawDoc;

/// Where schemas come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaSource {
    /// One for all documents, a struct (`output.schema.key`, `output.schema.value`).
    Given(Arc<Schema>),
    /// Each document shows its own (`output.schema.infer.value`).
    Inferred,
}

/// What `output.format.key|value=schema` makes of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaOutput {
    /// Where schemas come from.
    pub source: SchemaSource,
    /// Writes what is JSON text within a string (`output.json.formatter`).
    pub formatter: JsonFormatter,
    /// How `JsonConverter` writes values.
    pub json: JsonSettings,
}

impl SchemaOutput {
    /// The struct that `document` is.
    ///
    /// # Errors
    /// [`ConversionError`] if it does not fit its schema.
    pub(crate) fn datum(&self, document: RawDoc<'_>) -> Result<Datum, ConversionError> {
        let schema = match &self.source {
            SchemaSource::Given(schema) => Arc::clone(schema),
            SchemaSource::Inferred => Arc::new(inference::infer(document)?),
        };
        let value = projection::project(&schema, document, self.formatter)?;
        Ok(Datum::new(schema, value))
    }
}

/// How values become bytes.
#[derive(Debug)]
enum Form {
    /// `StringConverter`.
    JavaText,
    /// `JsonConverter` without schemas.
    Payload,
    /// `JsonConverter` with schemas.
    Envelope,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SchemaEncoder {
    output: SchemaOutput,
    form: Form,
    /// The JSON of a given schema, made once.
    schema_json: Vec<u8>,
}

impl SchemaEncoder {
    /// For `StringConverter`.
    pub(crate) fn java_text(output: SchemaOutput) -> Self {
        Self { output, form: Form::JavaText, schema_json: Vec::new() }
    }

    /// For `JsonConverter`.
    pub(crate) fn json(output: SchemaOutput, schemas_enable: bool) -> Self {
        let mut schema_json = Vec::new();
        if let (SchemaSource::Given(schema), true) = (&output.source, schemas_enable) {
            json::write_schema(schema, None, output.json, &mut schema_json);
        }
        let form = if schemas_enable { Form::Envelope } else { Form::Payload };
        Self { output, form, schema_json }
    }

    /// A guess at the bytes that a document of so many becomes.
    pub(crate) fn size_hint(&self, document_bytes: usize) -> usize {
        document_bytes.saturating_mul(2).saturating_add(self.schema_json.len())
    }

    /// Appends the record bytes of `document`.
    ///
    /// # Errors
    /// [`ConversionError`], with a part written: the caller truncates `out`.
    #[inline(never)]
    pub(crate) fn encode(
        &self,
        document: RawDoc<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ConversionError> {
        match &self.output.source {
            SchemaSource::Given(schema) => self.encode_by(schema, document, out, |out| {
                out.extend_from_slice(&self.schema_json);
            }),
            SchemaSource::Inferred => {
                let schema = inference::infer(document)?;
                let settings = self.output.json;
                self.encode_by(&schema, document, out, |out| {
                    json::write_schema(&schema, None, settings, out);
                })
            }
        }
    }

    fn encode_by(
        &self,
        schema: &Schema,
        document: RawDoc<'_>,
        out: &mut Vec<u8>,
        write_schema: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), ConversionError> {
        let value = projection::project(schema, document, self.output.formatter)?;
        let settings = self.output.json;
        match self.form {
            Form::JavaText => java_text::write(Some(schema), &value, out)?,
            Form::Payload => json::write_value(Some(schema), &value, settings, out)?,
            Form::Envelope => {
                out.extend_from_slice(br#"{"schema":"#);
                write_schema(out);
                out.extend_from_slice(br#","payload":"#);
                json::write_value(Some(schema), &value, settings, out)?;
                out.push(b'}');
            }
        }
        Ok(())
    }
}
