//! A broker that keeps one group, over TCP, by Kafka's rules: a join is answered when every member has joined, a sync
//! when the leader has. Members do not expire; a test takes them out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use millrace_core::kafka::api::Api;
use millrace_core::kafka::errors::ErrorCode;
use millrace_core::kafka::wire::{
    Reader, WireError, put_compact_bytes, put_compact_length, put_compact_null, put_compact_string,
    put_i16, put_i32, put_no_tags,
};
use millrace_core::link::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

#[derive(Default)]
struct Group {
    generation: i32,
    ids: usize,
    /// Each member, and what it joined with in the round that is under way.
    members: BTreeMap<String, Option<Vec<u8>>>,
    is_preparing: bool,
    /// What all joined with.
    joined: BTreeMap<String, Vec<u8>>,
    /// By the leader of this generation.
    assignments: Option<BTreeMap<String, Vec<u8>>>,
    left: Vec<String>,
}

impl Group {
    fn complete_if_all_are_here(&mut self) {
        if !self.is_preparing || self.members.values().any(Option::is_none) {
            return;
        }
        let taken = self.members.iter_mut().map(|(id, said)| (id.clone(), said.take().unwrap()));
        self.joined = taken.collect();
        self.is_preparing = false;
        self.generation += 1;
        self.assignments = None;
    }

    fn error_of(&self, generation: i32, member: &str) -> ErrorCode {
        if !self.members.contains_key(member) {
            ErrorCode::UNKNOWN_MEMBER_ID
        } else if generation != self.generation {
            ErrorCode::ILLEGAL_GENERATION
        } else if self.is_preparing {
            ErrorCode::REBALANCE_IN_PROGRESS
        } else {
            ErrorCode::NONE
        }
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct FakeCoordinator {
    pub(super) address: Address,
    group: Arc<Mutex<Group>>,
    changed: Arc<Notify>,
}

impl FakeCoordinator {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::new("127.0.0.1", port);
        let fake = Self { address, group: Arc::default(), changed: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        fake
    }

    /// Who has said goodbye.
    pub(super) fn left(&self) -> Vec<String> {
        self.group.lock().unwrap().left.clone()
    }

    /// Takes a member out, as if its session had ended.
    pub(super) fn expire(&self, member: &str) {
        self.remove(member);
    }

    fn remove(&self, member: &str) -> bool {
        let mut group = self.group.lock().unwrap();
        let was_in = group.members.remove(member).is_some();
        group.is_preparing |= was_in;
        group.complete_if_all_are_here();
        self.changed.notify_waiters();
        was_in
    }

    async fn serve(&self, mut stream: TcpStream) {
        while let Ok(size) = stream.read_u32().await {
            let mut request = vec![0; size as usize];
            if stream.read_exact(&mut request).await.is_err() {
                return;
            }
            let mut reader = Reader::new(&request);
            let answer = self.answer(&mut reader).await.unwrap();
            let size = u32::try_from(answer.len()).unwrap();
            if stream.write_all(&[&size.to_be_bytes()[..], &answer].concat()).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        let (key, version, correlation) = (reader.i16()?, reader.i16()?, reader.i32()?);
        let _client = reader.name()?;
        reader.skip_tags()?;
        let api = Api::ALL.into_iter().find(|api| api.key() == key).expect("a request of ours");
        assert_eq!(version, api.version());
        let out = &mut Vec::new();
        put_i32(out, correlation);
        if api != Api::ApiVersions {
            put_no_tags(out);
            put_i32(out, 0);
        }
        if api == Api::ApiVersions {
            versions(out);
        } else if api == Api::FindCoordinator {
            self.find(out);
        } else if api == Api::JoinGroup {
            self.join(reader, out).await?;
        } else if api == Api::SyncGroup {
            self.sync(reader, out).await?;
        } else if api == Api::Heartbeat {
            let _group = reader.compact_name()?;
            let (generation, member) = (reader.i32()?, reader.compact_name()?);
            put_i16(out, self.group.lock().unwrap().error_of(generation, member).0);
        } else if api == Api::LeaveGroup {
            let _group = reader.compact_name()?;
            let _one = reader.compact_array()?;
            let member = reader.compact_name()?.to_owned();
            self.remove(&member);
            self.group.lock().unwrap().left.push(member);
            put_i16(out, 0);
            put_compact_length(out, 0);
        } else {
            panic!("a member does not ask {}", api.name());
        }
        put_no_tags(out);
        Ok(std::mem::take(out))
    }

    fn find(&self, out: &mut Vec<u8>) {
        put_i16(out, 0);
        put_compact_null(out);
        put_i32(out, 1);
        put_compact_string(out, &self.address.host);
        put_i32(out, i32::from(self.address.port));
    }

    async fn join(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        let _group = reader.compact_name()?;
        let _timeouts = (reader.i32()?, reader.i32()?);
        let member = reader.compact_name()?.to_owned();
        let _instance = reader.compact_string()?;
        assert_eq!(reader.compact_name()?, "connect");
        assert!(reader.compact_array()? > 0);
        assert_eq!(reader.compact_name()?, "sessioned");
        let said = reader.compact_bytes()?.unwrap_or_default().to_vec();
        let before = {
            let mut group = self.group.lock().unwrap();
            if member.is_empty() {
                group.ids += 1;
                let given = format!("member-{}", group.ids);
                refuse(out, ErrorCode::MEMBER_ID_REQUIRED, &given);
                return Ok(());
            }
            group.members.insert(member.clone(), Some(said));
            group.is_preparing = true;
            let before = group.generation;
            group.complete_if_all_are_here();
            self.changed.notify_waiters();
            before
        };
        self.wait_for(|group| before < group.generation).await;
        let group = self.group.lock().unwrap();
        if !group.members.contains_key(&member) {
            refuse(out, ErrorCode::UNKNOWN_MEMBER_ID, "");
            return Ok(());
        }
        let leader = group.joined.keys().next().cloned().unwrap_or_default();
        put_i16(out, 0);
        put_i32(out, group.generation);
        for text in ["connect", "sessioned", &leader, &member] {
            put_compact_string(out, text);
        }
        let told = if member == leader { group.joined.len() } else { 0 };
        put_compact_length(out, told);
        for (member, said) in group.joined.iter().take(told) {
            put_compact_string(out, member);
            put_compact_null(out);
            put_compact_bytes(out, said);
            put_no_tags(out);
        }
        Ok(())
    }

    async fn sync(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        let _group = reader.compact_name()?;
        let (generation, member) = (reader.i32()?, reader.compact_name()?.to_owned());
        let _instance_type_protocol =
            (reader.compact_string()?, reader.compact_string()?, reader.compact_string()?);
        let mut assignments = BTreeMap::new();
        for _ in 0..reader.compact_array()? {
            let member = reader.compact_name()?.to_owned();
            assignments.insert(member, reader.compact_bytes()?.unwrap_or_default().to_vec());
            reader.skip_tags()?;
        }
        if !assignments.is_empty() {
            self.group.lock().unwrap().assignments = Some(assignments);
            self.changed.notify_waiters();
        }
        let is_over = |group: &Group| {
            !group.error_of(generation, &member).is_none() || group.assignments.is_some()
        };
        self.wait_for(is_over).await;
        let group = self.group.lock().unwrap();
        put_i16(out, group.error_of(generation, &member).0);
        put_compact_string(out, "connect");
        put_compact_string(out, "sessioned");
        let given = group.assignments.as_ref().and_then(|all| all.get(&member));
        put_compact_bytes(out, given.map_or(&[], Vec::as_slice));
        Ok(())
    }

    async fn wait_for(&self, is_so: impl Fn(&Group) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&self.group.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }
}

fn versions(out: &mut Vec<u8>) {
    put_i16(out, 0);
    put_compact_length(out, Api::ALL.len());
    for api in Api::ALL {
        put_i16(out, api.key());
        put_i16(out, api.version());
        put_i16(out, api.version());
        put_no_tags(out);
    }
    put_i32(out, 0);
}

fn refuse(out: &mut Vec<u8>, error: ErrorCode, member: &str) {
    put_i16(out, error.0);
    put_i32(out, -1);
    put_compact_null(out);
    put_compact_null(out);
    put_compact_string(out, "");
    put_compact_string(out, member);
    put_compact_length(out, 0);
}
