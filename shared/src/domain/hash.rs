//! A hash that never changes, unlike the standard library's.
//!
//! It is for the order of numbers in memory only, and is neither stored nor logged: without a key, anybody could find the phone
//! number behind a hash by trying all of them.

/// Hashes texts: FNV-1a, followed by the finalizer of splitmix64. Without it the last digits of a number would hardly
/// change the hash.
pub fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = texts.into_iter().flat_map(str::bytes);
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
