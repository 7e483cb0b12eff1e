//! Which servers are known and which is tried next.
//!
//! ```text
//!  seeds + members that a server named          one round: each is tried once
//!  [ a tried ] [ b tried ] [ c ]                a server's word for the primary goes first
//! ```
//!
//! A round ends when every address was tried; waiting between rounds is the session's business.
//! What a primary says of the members replaces what others said; seeds are never forgotten.

use crate::link::Address;

#[derive(Debug)]
struct Member {
    address: Address,
    is_seed: bool,
    tried: bool,
    last_reason: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Topology {
    members: Vec<Member>,
    /// Who is said to be the primary.
    hint: Option<Address>,
}

impl Topology {
    pub(super) fn new(seeds: &[Address]) -> Self {
        let mut topology = Self { members: Vec::new(), hint: None };
        for seed in seeds {
            topology.add(seed, true);
        }
        topology
    }

    /// How many addresses are known.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Begins a round; `first` is to be tried first.
    pub(super) fn begin_round(&mut self, first: Option<&Address>) {
        for member in &mut self.members {
            member.tried = false;
        }
        self.hint = first.cloned();
    }

    /// The next address of this round, which counts as tried from now on. `None`: the round is
    /// over.
    pub(super) fn next_address(&mut self) -> Option<Address> {
        let hint = self.hint.take();
        let untried = |member: &&mut Member| !member.tried;
        let hinted = hint.and_then(|hint| {
            self.members.iter_mut().filter(untried).find(|member| member.address == hint)
        });
        let member = match hinted {
            Some(member) => member,
            None => self.members.iter_mut().find(untried)?,
        };
        member.tried = true;
        Some(member.address.clone())
    }

    /// Whether this round has addresses left.
    pub(super) fn has_untried(&self) -> bool {
        self.members.iter().any(|member| !member.tried)
    }

    /// Notes why `address` was of no use.
    pub(super) fn note(&mut self, address: &Address, reason: String) {
        if let Some(member) = self.members.iter_mut().find(|member| member.address == *address) {
            member.last_reason = Some(reason);
        }
    }

    /// Notes the members that a server names, and whom it takes for the primary.
    pub(super) fn learn(&mut self, hosts: &[Address], primary: Option<Address>, by_primary: bool) {
        for host in hosts.iter().chain(&primary) {
            self.add(host, false);
        }
        if by_primary && !hosts.is_empty() {
            self.members.retain(|member| member.is_seed || hosts.contains(&member.address));
        }
        self.hint = primary;
    }

    /// All addresses with the last reason why each was of no use.
    pub(super) fn reasons(&self) -> Vec<(Address, Option<String>)> {
        let both = |member: &Member| (member.address.clone(), member.last_reason.clone());
        self.members.iter().map(both).collect()
    }

    fn add(&mut self, address: &Address, is_seed: bool) {
        if self.members.iter().all(|member| member.address != *address) {
            let address = address.clone();
            self.members.push(Member { address, is_seed, tried: false, last_reason: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> Address {
        Address::new(host, 27017)
    }

    #[test]
    fn each_address_is_tried_once_in_a_round() {
        let mut topology = Topology::new(&[address("a"), address("b"), address("a")]);
        topology.begin_round(Some(&address("b")));
        assert_eq!(topology.next_address(), Some(address("b")));
        // a and b send us to each other: each is still tried only once.
        topology.learn(&[], Some(address("a")), false);
        assert_eq!(topology.next_address(), Some(address("a")));
        topology.learn(&[], Some(address("b")), false);
        assert!(!topology.has_untried());
        assert_eq!(topology.next_address(), None);
        topology.begin_round(None);
        assert_eq!(topology.next_address(), Some(address("a")));
    }

    #[test]
    fn members_that_left_are_forgotten_and_seeds_are_not() {
        let mut topology = Topology::new(&[address("seed")]);
        topology.learn(&[address("a"), address("b")], None, false);
        topology.learn(&[address("b"), address("c")], Some(address("c")), true);
        topology.note(&address("seed"), "alias".to_owned());
        let want = [
            (address("seed"), Some("alias".to_owned())),
            (address("b"), None),
            (address("c"), None),
        ];
        assert_eq!(topology.reasons(), want);
        assert_eq!(topology.next_address(), Some(address("c")), "the primary goes first");
    }
}
