//! Documents derived from a seed: every BSON type, edges among the values, text of all kinds.
//!
//! The Java program that made `golden/hashes.tsv` derives the very same bytes, so nothing here may
//! change without a new hash from there. Draws are taken in the order in which they are written.

/// Vigna's SplitMix64.
pub(crate) struct Seeded {
    state: u64,
}

/// How often a type is drawn.
const KINDS: [u8; 28] = [
    1, 1, 2, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9, 9, 10, 11, 12, 13, 14, 15, 16, 16, 17, 18, 18, 19, 0xff,
    0x7f,
];
const SUBTYPES: [u8; 7] = [0, 2, 3, 4, 5, 0x80, 0xfe];
const DOUBLES: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0];
/// Levels below which nothing nests any more.
const DEPTH_MAX: u32 = 5;

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number from 0 up to but not including `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 1) % bound
    }

    /// A number of any size and sign.
    pub(crate) fn signed(&mut self) -> i64 {
        let bits = self.next().cast_signed();
        bits >> self.below(64)
    }

    /// A whole document.
    pub(crate) fn document(&mut self) -> Vec<u8> {
        self.nested(0)
    }

    fn nested(&mut self, depth: u32) -> Vec<u8> {
        let count = self.below(if depth == 0 { 8 } else { 4 });
        let mut body = Vec::new();
        for _ in 0..count {
            let name = self.text(false);
            self.element(&name, depth, &mut body);
        }
        framed(&body)
    }

    fn array(&mut self, depth: u32) -> Vec<u8> {
        let mut body = Vec::new();
        for index in 0..self.below(4) {
            self.element(index.to_string().as_bytes(), depth, &mut body);
        }
        framed(&body)
    }

    fn element(&mut self, name: &[u8], depth: u32, out: &mut Vec<u8>) {
        let drawn = KINDS[self.below(KINDS.len() as u64) as usize];
        let kind = if DEPTH_MAX <= depth && matches!(drawn, 3 | 4 | 15) { 2 } else { drawn };
        out.push(kind);
        out.extend_from_slice(name);
        out.push(0);
        match kind {
            1 => out.extend(self.double().to_bits().to_le_bytes()),
            2 | 13 | 14 => self.string(out),
            3 => out.extend(self.nested(depth + 1)),
            4 => out.extend(self.array(depth + 1)),
            5 => self.binary(out),
            7 => self.bytes(12, out),
            8 => out.push(self.below(2) as u8),
            9 | 18 => out.extend(self.signed().to_le_bytes()),
            11 => self.regex(out),
            12 => {
                self.string(out);
                self.bytes(12, out);
            }
            15 => {
                let mut code = Vec::new();
                self.string(&mut code);
                let scope = self.nested(depth + 1);
                out.extend(int32(4 + code.len() + scope.len()));
                out.extend([code, scope].concat());
            }
            16 => out.extend((self.signed() as i32).to_le_bytes()),
            17 => out.extend(self.next().to_le_bytes()),
            19 => self.decimal(out),
            _ => {}
        }
    }

    fn double(&mut self) -> f64 {
        match self.below(4) {
            0 => f64::from_bits(self.next()),
            1 => DOUBLES[self.below(5) as usize],
            2 => self.signed() as f64,
            _ => self.signed() as f64 / 1_000.0,
        }
    }

    fn string(&mut self, out: &mut Vec<u8>) {
        let text = self.text(true);
        out.extend(int32(text.len() + 1));
        out.extend(text);
        out.push(0);
    }

    fn regex(&mut self, out: &mut Vec<u8>) {
        out.extend(self.text(false));
        out.push(0);
        for _ in 0..self.below(4) {
            out.push(b"imsxul\"\\"[self.below(8) as usize]);
        }
        out.push(0);
    }

    fn binary(&mut self, out: &mut Vec<u8>) {
        let subtype = SUBTYPES[self.below(7) as usize];
        let len = self.below(20) as usize;
        if subtype == 2 {
            // The old form has its length twice.
            out.extend(int32(len + 4));
            out.push(subtype);
            out.extend(int32(len));
        } else {
            out.extend(int32(len));
            out.push(subtype);
        }
        self.bytes(len, out);
    }

    fn decimal(&mut self, out: &mut Vec<u8>) {
        if self.below(2) == 0 {
            return self.bytes(16, out);
        }
        let bits = self.next();
        let low = bits >> self.below(64);
        let high = (6_126 + self.below(60)) << 49 | self.below(2) << 63;
        out.extend(low.to_le_bytes());
        out.extend(high.to_le_bytes());
    }

    fn bytes(&mut self, len: usize, out: &mut Vec<u8>) {
        for _ in 0..len {
            out.push(self.next() as u8);
        }
    }

    /// Text of one style; halves of surrogate pairs stand alone, as three bytes.
    fn text(&mut self, zero_too: bool) -> Vec<u8> {
        let style = self.below(6);
        let len_max = if self.below(8) == 0 { 200 } else { 24 };
        let mut text = Vec::new();
        for _ in 0..self.below(len_max) {
            let drawn = match style {
                0 | 1 => 32 + self.below(95),
                2 => self.below(128),
                3 => self.below(0x800),
                4 => self.below(0x1_0000),
                _ => self.below(0x11_0000),
            };
            push_utf8(if zero_too { drawn } else { drawn.max(1) }, &mut text);
        }
        text
    }
}

/// A body with its length and terminator around it.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    [&int32(body.len() + 5), body, &[0]].concat()
}

fn int32(number: usize) -> [u8; 4] {
    i32::try_from(number).expect("small").to_le_bytes()
}

fn push_utf8(code: u64, out: &mut Vec<u8>) {
    let tail = |shift: u32| 0x80 | (code >> shift & 63) as u8;
    match code {
        0..0x80 => out.push(code as u8),
        0x80..0x800 => out.extend([0xc0 | (code >> 6) as u8, tail(0)]),
        0x800..0x1_0000 => out.extend([0xe0 | (code >> 12) as u8, tail(6), tail(0)]),
        _ => out.extend([0xf0 | (code >> 18) as u8, tail(12), tail(6), tail(0)]),
    }
}
