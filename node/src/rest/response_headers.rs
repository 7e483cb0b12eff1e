//! Headers that every answer carries, by the rules of `response.http.headers.config`.
//!
//! As Jetty's `HeaderFilter` has it: rules come first, in their order, and then the answer itself says what it has to
//! say. So a rule does not take a header of the answer away; it comes beside it, and of `Content-Type` there is one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::response::Response;

use crate::config::{HeaderRule, RuleValue};

/// The last second of the year 9999, which no date of HTTP is behind. From 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// The answer with what the rules say now.
pub(super) fn mark(rules: &[HeaderRule], mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in &headers_of(rules, SystemTime::now()) {
        if *name != CONTENT_TYPE || !headers.contains_key(CONTENT_TYPE) {
            headers.append(name, value.clone());
        }
    }
    response
}

fn headers_of(rules: &[HeaderRule], now: SystemTime) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for HeaderRule { name, value, adds } in rules {
        let value = match value {
            RuleValue::Text(text) => text.clone(),
            RuleValue::Date { offset_ms } => date(now, *offset_ms),
        };
        if *adds {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
    headers
}

fn date(now: SystemTime, offset_ms: i64) -> HeaderValue {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let offset = Duration::from_millis(offset_ms.unsigned_abs());
    let then = if offset_ms < 0 { now.saturating_sub(offset) } else { now.saturating_add(offset) };
    let then = then.min(Duration::from_secs(LAST_SECOND));
    let text = httpdate::fmt_http_date(UNIX_EPOCH + then);
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::header::{EXPIRES, HeaderName, VARY};

    use super::*;

    fn text(name: &HeaderName, value: &'static str, adds: bool) -> HeaderRule {
        let value = RuleValue::Text(HeaderValue::from_static(value));
        HeaderRule { name: name.clone(), value, adds }
    }

    fn all(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn rules_follow_each_other_and_leave_the_answer_its_own() {
        let other = HeaderName::from_static("x-a");
        let rules = [
            text(&VARY, "a", false),
            text(&VARY, "b", false),
            text(&VARY, "c", true),
            text(&CONTENT_TYPE, "text/html", false),
            text(&other, "1", true),
        ];
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let marked = mark(&rules, response);
        assert_eq!(all(marked.headers(), &VARY), ["Origin", "b", "c"]);
        assert_eq!(all(marked.headers(), &CONTENT_TYPE), ["text/plain"]);
        assert_eq!(all(marked.headers(), &other), ["1"]);
        let bare = mark(&rules, Response::new(Body::empty()));
        assert_eq!(all(bare.headers(), &CONTENT_TYPE), ["text/html"]);
    }

    #[test]
    fn dates_are_so_much_later_than_now() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (offset_ms, expected) in [
            (0, "Sun, 09 Sep 2001 01:46:40 GMT"),
            (60_000, "Sun, 09 Sep 2001 01:47:40 GMT"),
            (-1_000, "Sun, 09 Sep 2001 01:46:39 GMT"),
            (i64::MIN, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let value = RuleValue::Date { offset_ms };
            let headers = headers_of(&[HeaderRule { name: EXPIRES, value, adds: false }], now);
            assert_eq!(headers[EXPIRES], expected);
        }
    }
}
