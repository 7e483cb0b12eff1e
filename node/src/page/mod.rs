//! The status page at `/`: what a worker does, for people, and the buttons that Connect's REST interface has.
//!
//! ```text
//!  GET /  Accept: text/html ──► figures::Seen ──► render ──► one page, whole without a script
//!                                    │
//!  GET /ui/figures.json ◄────────────┘  asked again every two seconds by page.js, which fills in the same places
//!  PUT /connectors/{c}/pause …         the buttons: the requests that every client of Connect sends
//! ```
//!
//! Everything is in this program; nothing is loaded from elsewhere, and the browser is told so
//! (`Content-Security-Policy`). Names and reasons are anybody's: [`render`] escapes them, the script writes only text.
//!
//! * [`figures`] what is seen of the worker
//! * [`render`] the page
//! * [`numbers`] how numbers are written, and quantiles

use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

use crate::herder::Herder;

mod figures;
mod numbers;
mod render;

pub(crate) use figures::Seen;

/// What the page may load, and who may show it inside of another: what this worker serves, and nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file that belongs to the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// All of them, by the paths that the page names.
pub(crate) const ASSETS: [Asset; 3] = [
    Asset { path: "/ui/page.css", kind: "text/css; charset=utf-8", text: include_str!("page.css") },
    Asset {
        path: "/ui/page.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page.js"),
    },
    Asset { path: "/ui/icon.svg", kind: "image/svg+xml", text: include_str!("icon.svg") },
];

/// Whether who asks would rather read a page than JSON: a browser names `text/html` first.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let first = kinds.find(|kind| {
        ["text/html", "application/json", "application/*", "*/*"].contains(&kind.as_str())
    });
    first.as_deref() == Some("text/html")
}

/// The page as it is now.
pub(crate) fn answer(herder: &dyn Herder) -> Response {
    let page = render::page(&Seen::of(herder));
    let mut response = guarded("text/html; charset=utf-8", page);
    response.headers_mut().insert(VARY, axum::http::HeaderValue::from_static("Accept"));
    response
}

impl Asset {
    pub(crate) fn answer(self) -> Response {
        guarded(self.kind, self.text)
    }
}

/// A browser asks anew each time: the next version may be another one.
fn guarded(kind: &'static str, body: impl IntoResponse) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_browser_gets_the_page_and_a_client_of_connect_its_json() {
        let wanted = |accepts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for accept in accepts {
                headers.append(ACCEPT, HeaderValue::from_static(accept));
            }
            is_wanted(&headers)
        };
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(wanted(&[firefox]) && wanted(&["Text/HTML;q=0.9"]));
        assert!(wanted(&["image/avif, text/html", "application/json"]));
        assert!(!wanted(&[]) && !wanted(&["*/*"]) && !wanted(&["application/json, text/html"]));
        assert!(!wanted(&["application/json", "text/html"]) && !wanted(&["text/plain"]));
    }

    #[test]
    fn no_request_of_the_script_waits_for_ever() {
        let script = ASSETS.iter().find(|asset| asset.path.ends_with("page.js")).unwrap();
        let requests: Vec<_> = script.text.lines().filter(|line| line.contains("fetch(")).collect();
        assert_eq!(requests.len(), 2);
        assert!(requests.iter().all(|line| line.contains("signal })")), "{requests:?}");
        assert_eq!(script.text.matches("signal = AbortSignal.timeout(").count(), 2);
    }

    #[test]
    fn page_and_script_load_nothing_and_hold_no_code_in_the_markup() {
        for asset in ASSETS {
            assert!(!asset.text.contains("//cdn") && !asset.text.contains("@import"));
            for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!asset.text.contains(sink), "{}: {sink}", asset.path);
            }
        }
    }
}
