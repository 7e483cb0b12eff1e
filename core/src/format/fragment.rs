//! The fixed pieces of JSON text, each in two spellings.
//!
//! ```text
//!  plain    {"$oid": "      the text is the record: String converter
//!  quoted   {\"$oid\": \"   the text stands inside a JSON string: Json converter
//! ```
//!
//! Both are constants, so a quoted text costs no second pass. The compiler picks one where it
//! copies the writer for `QUOTED = true` and `QUOTED = false`.

/// One piece of text in both spellings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    plain: &'static str,
    quoted: &'static str,
}

impl Fragment {
    const fn new(plain: &'static str, quoted: &'static str) -> Self {
        Self { plain, quoted }
    }

    /// Appends the spelling that `QUOTED` asks for.
    #[inline]
    pub(super) fn write<const QUOTED: bool>(self, out: &mut Vec<u8>) {
        let text = if QUOTED { self.quoted } else { self.plain };
        out.extend_from_slice(text.as_bytes());
    }
}

macro_rules! fragments {
    ($($name:ident $plain:literal $quoted:literal)*) => {
        $(pub(super) const $name: Fragment = Fragment::new($plain, $quoted);)*

        #[cfg(test)]
        const ALL: &[Fragment] = &[$($name),*];
    };
}

fragments! {
    QUOTE                  r#"""#                                    r#"\""#
    FIRST_NAME             r#"{""#                                   r#"{\""#
    NEXT_NAME              r#", ""#                                  r#", \""#
    NAME_END               r#"": "#                                  r#"\": "#
    NAME_END_QUOTE         r#"": ""#                                 r#"\": \""#
    STRING_END_1           r#""}"#                                   r#"\"}"#
    STRING_END_2           r#""}}"#                                  r#"\"}}"#
    STRING_END_3           r#""}}}"#                                 r#"\"}}}"#
    BINARY                 r#"{"$binary": ""#                        r#"{\"$binary\": \""#
    BINARY_TYPE            r#"", "$type": ""#                        r#"\", \"$type\": \""#
    BINARY_RELAXED         r#"{"$binary": {"base64": ""#             r#"{\"$binary\": {\"base64\": \""#
    BINARY_SUB_TYPE        r#"", "subType": ""#                      r#"\", \"subType\": \""#
    UNDEFINED              r#"{"$undefined": true}"#                 r#"{\"$undefined\": true}"#
    OBJECT_ID              r#"{"$oid": ""#                           r#"{\"$oid\": \""#
    DATE                   r#"{"$date": "#                           r#"{\"$date\": "#
    DATE_INT64             r#"{"$date": {"$numberLong": ""#          r#"{\"$date\": {\"$numberLong\": \""#
    REGEX                  r#"{"$regex": ""#                         r#"{\"$regex\": \""#
    REGEX_OPTIONS          r#"", "$options": ""#                     r#"\", \"$options\": \""#
    REGEX_EXTENDED         r#"{"$regularExpression": {"pattern": ""# r#"{\"$regularExpression\": {\"pattern\": \""#
    REGEX_EXTENDED_OPTIONS r#"", "options": ""#                      r#"\", \"options\": \""#
    DB_POINTER             r#"{"$ref": ""#                           r#"{\"$ref\": \""#
    DB_POINTER_EXTENDED    r#"{"$dbPointer": {"$ref": ""#            r#"{\"$dbPointer\": {\"$ref\": \""#
    DB_POINTER_ID          r#"", "$id": {"$oid": ""#                 r#"\", \"$id\": {\"$oid\": \""#
    DB_POINTER_TEXT_ID     r#"", "$id": ""#                          r#"\", \"$id\": \""#
    CODE                   r#"{"$code": ""#                          r#"{\"$code\": \""#
    CODE_SCOPE             r#"", "$scope": "#                        r#"\", \"$scope\": "#
    SYMBOL                 r#"{"$symbol": ""#                        r#"{\"$symbol\": \""#
    TIMESTAMP              r#"{"$timestamp": {"t": "#                r#"{\"$timestamp\": {\"t\": "#
    TIMESTAMP_INCREMENT    r#", "i": "#                              r#", \"i\": "#
    DOUBLE                 r#"{"$numberDouble": ""#                  r#"{\"$numberDouble\": \""#
    INT32                  r#"{"$numberInt": ""#                     r#"{\"$numberInt\": \""#
    INT64                  r#"{"$numberLong": ""#                    r#"{\"$numberLong\": \""#
    DECIMAL128             r#"{"$numberDecimal": ""#                 r#"{\"$numberDecimal\": \""#
    MIN_KEY                r#"{"$minKey": 1}"#                       r#"{\"$minKey\": 1}"#
    MAX_KEY                r#"{"$maxKey": 1}"#                       r#"{\"$maxKey\": 1}"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_spelling_is_the_plain_one_inside_a_json_string() {
        for fragment in ALL {
            assert_eq!(fragment.quoted, fragment.plain.replace('"', "\\\""));
        }
    }
}
