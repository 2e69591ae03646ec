//! Stands in for the crate `encoding-next`: UTF-8 only, invalid bytes replaced.
pub enum DecoderTrap {
    Replace,
}

pub struct Utf8;

impl Utf8 {
    pub fn decode(&self, bytes: &[u8], _trap: DecoderTrap) -> Result<String, String> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

pub mod label {
    pub fn encoding_from_whatwg_label(label: &str) -> Option<super::Utf8> {
        label.eq_ignore_ascii_case("utf-8").then_some(super::Utf8)
    }
}
