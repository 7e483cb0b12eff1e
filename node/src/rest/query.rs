//! What stands behind the question mark of a path.

/// The values of a parameter, in their order.
pub(super) fn values(query: Option<&str>, name: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
}

/// The first value of a parameter: where one is wanted, Connect looks at no other.
pub(super) fn first(query: Option<&str>, name: &str) -> Option<String> {
    values(query, name).into_iter().next()
}

/// The query with one parameter in place of those of that name.
pub(super) fn with(query: Option<&str>, name: &str, value: &str) -> String {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let others = pairs.filter(|(key, _)| key != name);
    let mut written = form_urlencoded::Serializer::new(String::new());
    written.extend_pairs(others).append_pair(name, value);
    written.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_is_found_wherever_it_stands() {
        let query = Some("expand=status&x=1&expand=in%66o");
        assert_eq!(values(query, "expand"), ["status", "info"]);
        assert_eq!(first(query, "expand").as_deref(), Some("status"));
        assert!(values(None, "expand").is_empty() && first(query, "y").is_none());
    }

    #[test]
    fn parameter_is_put_in_place_of_its_namesakes() {
        let query = Some("forward=true&a=b%20c&forward=x");
        assert_eq!(with(query, "forward", "false"), "a=b+c&forward=false");
        assert_eq!(with(None, "forward", "true"), "forward=true");
    }
}
