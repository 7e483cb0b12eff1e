//! What a cluster is called: one question to one broker, outside of any pipeline.
//!
//! ```text
//! request    size i32 │ header v2 │ Metadata v9 for no topics
//! answer     size i32 │ header v1 │ brokers, cluster id, …
//! ```

use crate::kafka::api::Api;
use crate::kafka::api::metadata::{self, Metadata};
use crate::kafka::wire::{Reader, WireError, begin_request, finish_request};

/// The question, with its size in front.
pub fn request(client_id: &str) -> Vec<u8> {
    let mut request = Vec::new();
    begin_request(&mut request, Api::Metadata.key(), Api::Metadata.version(), 0, client_id);
    metadata::write_request(&mut request, std::iter::empty(), false);
    let size_bytes = request.len();
    finish_request(&mut request, size_bytes);
    request
}

/// Reads an answer without its size. `None`: the cluster has no name.
///
/// # Errors
/// When it is not an answer to [`request`].
pub fn read(answer: &[u8]) -> Result<Option<String>, WireError> {
    let mut reader = Reader::new(answer);
    Api::Metadata.read_header(&mut reader)?;
    Ok(Metadata::read(&mut reader)?.cluster_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::fake_broker::{FakeCluster, Fate};

    #[test]
    fn broker_answers_the_question_and_no_cut_answer_is_read() {
        let request = request("c");
        let (size, body) = request.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*size) as usize, body.len());
        let answer = FakeCluster::new(1).handle(0, body, || Fate::Fair);
        let answer = &answer[4..];
        assert_eq!(read(answer).unwrap().as_deref(), Some("fake"));
        for cut in 0..answer.len() {
            assert!(read(&answer[..cut]).is_err(), "cut at {cut}");
        }
    }
}
