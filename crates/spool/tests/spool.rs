//! The promises of the spool: what was synced survives, damage is found and named, the intact rest is read.
#![allow(missing_docs, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use backtrail_spool::{
    DamageKind, Error, Options, Reader, Writer, delete_consumed, load_cursor, quarantine, salvage, store_cursor, verify,
};
use proptest::prelude::*;

const SMALL: Options = Options { segment_bytes: 200, max_total_bytes: 1 << 20, fsync: false };

fn fill(dir: &Path, options: Options, payloads: &[Vec<u8>]) {
    let mut writer = Writer::open(dir, options).expect("opens");
    for payload in payloads {
        writer.append(payload).expect("fits");
    }
    writer.sync().expect("syncs");
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .expect("exists")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    all.sort();
    all
}

/// Intact payloads by sequence, and the damage.
fn read_all(dir: &Path) -> (Vec<(u64, Vec<u8>)>, Vec<backtrail_spool::Damage>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    for item in Reader::open(dir) {
        match item {
            Ok(record) => records.push((record.sequence, record.payload)),
            Err(Error::Damaged(found)) => damage.push(found),
            Err(error) => panic!("{error}"),
        }
    }
    (records, damage)
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_appended_is_read_back_in_order_across_reopening(first in payloads(), second in payloads()) {
        let dir = tempfile::tempdir().expect("a directory");
        fill(dir.path(), SMALL, &first);
        fill(dir.path(), SMALL, &second);
        let expected: Vec<_> = (0..).zip(first.into_iter().chain(second)).collect();
        prop_assert_eq!(read_all(dir.path()), (expected, Vec::new()));
    }

    #[test]
    fn every_flipped_bit_is_found_and_named(payloads in payloads(), which in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let dir = tempfile::tempdir().expect("a directory");
        fill(dir.path(), SMALL, &payloads);
        let files = segments(dir.path());
        let total: usize = files.iter().map(|f| fs::read(f).expect("readable").len()).sum();
        let mut at = which.index(total);
        let mut hit = files[0].clone();
        for file in files {
            let mut bytes = fs::read(&file).expect("readable");
            if at < bytes.len() {
                bytes[at] ^= 1 << bit;
                fs::write(&file, bytes).expect("writable");
                hit = file;
                break;
            }
            at -= bytes.len();
        }
        let report = verify(dir.path()).expect("readable");
        prop_assert_eq!(report.damage.len(), 1, "{:?}", report);
        let damage = &report.damage[0];
        prop_assert_eq!(&damage.file, &hit);
        prop_assert!(damage.offset <= at as u64 && damage.expected != damage.actual);
        let named = hit.file_name().expect("a name").to_string_lossy().into_owned();
        prop_assert!(damage.to_string().contains(&named), "{}", damage);
        // What is read is what was written, in its place.
        for (sequence, payload) in read_all(dir.path()).0 {
            prop_assert_eq!(&payloads[sequence as usize], &payload);
        }
        // A writer goes on behind it, and no sequence is given twice.
        let next = Writer::open(dir.path(), SMALL).expect("opens").append(b"new").expect("fits");
        prop_assert!(next >= payloads.len() as u64);
        let (records, damage) = read_all(dir.path());
        prop_assert_eq!(damage.len(), 1, "{:?}", damage);
        prop_assert_eq!(records.last().cloned(), Some((next, b"new".to_vec())));
    }

    #[test]
    fn a_kill_in_mid_write_keeps_the_intact_prefix(payloads in payloads(), cut in any::<prop::sample::Index>(), zeros in 0..40_usize) {
        let dir = tempfile::tempdir().expect("a directory");
        let whole = Options { segment_bytes: 1 << 20, ..SMALL };
        fill(dir.path(), whole, &payloads);
        let file = segments(dir.path()).remove(0);
        let mut bytes = fs::read(&file).expect("readable");
        let cut = cut.index(bytes.len() + 1);
        let (mut intact, mut end) = (0, 20);
        while intact < payloads.len() && end + 20 + payloads[intact].len() <= cut {
            end += 20 + payloads[intact].len();
            intact += 1;
        }
        bytes.truncate(cut);
        // A loss of power can leave the new length without the new bytes.
        if cut == end {
            bytes.resize(cut + zeros, 0);
        }
        fs::write(&file, &bytes).expect("writable");
        let mut writer = Writer::open(dir.path(), whole).expect("opens");
        prop_assert_eq!(writer.recovered().torn.is_some(), bytes.len() != end);
        prop_assert_eq!(writer.append(b"next").expect("fits"), intact as u64);
        let mut expected: Vec<_> = (0..).zip(payloads.into_iter().take(intact)).collect();
        expected.push((intact as u64, b"next".to_vec()));
        prop_assert_eq!(read_all(dir.path()), (expected, Vec::new()));
    }
}

fn ten(dir: &Path) -> Vec<PathBuf> {
    fill(dir, SMALL, &vec![vec![7; 60]; 10]);
    let files = segments(dir);
    assert_eq!(files.len(), 5);
    files
}

#[test]
fn a_quarantined_segment_is_out_of_the_way_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = ten(dir.path());
    let mut bytes = fs::read(&files[1]).expect("readable");
    bytes[30] ^= 1;
    fs::write(&files[1], bytes).expect("writable");
    let (records, damage) = read_all(dir.path());
    assert_eq!((records.len(), damage[0].kind, damage[0].offset), (8, DamageKind::RecordHeader, 20));
    let to = quarantine(&damage[0]).expect("renamed");
    assert!(to.extension().is_some_and(|e| e == "damaged") && to.exists());
    let report = verify(dir.path()).expect("readable");
    assert_eq!((report.segments, report.records, report.damage), (4, 8, vec![]));
    assert_eq!(Writer::open(dir.path(), SMALL).expect("opens").next_sequence(), 10);
}

#[test]
fn a_vanished_or_cut_segment_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = ten(dir.path());
    fs::remove_file(&files[2]).expect("removable");
    let bytes = fs::read(&files[0]).expect("readable");
    fs::write(&files[0], &bytes[..bytes.len() - 1]).expect("writable");
    let (records, damage) = read_all(dir.path());
    assert_eq!(records.len(), 7);
    assert_eq!(damage.iter().map(|d| d.kind).collect::<Vec<_>>(), [DamageKind::Truncated, DamageKind::Missing]);
    assert_eq!((damage[1].expected, damage[1].actual), (4, 6));
}

#[test]
fn a_full_spool_says_so_and_takes_more_once_the_consumer_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = Writer::open(dir.path(), Options { max_total_bytes: 600, ..SMALL }).expect("opens");
    let full = loop {
        match writer.append(&[1; 60]) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::Full { limit: 600, .. }), "{full}");
    let written = writer.next_sequence();
    assert_eq!(load_cursor(dir.path(), "consumer").expect("readable"), None);
    store_cursor(dir.path(), "consumer", 3).expect("stored");
    assert_eq!(load_cursor(dir.path(), "consumer").expect("readable"), Some(3));
    assert_eq!(delete_consumed(dir.path(), 3).expect("deleted"), 1);
    assert_eq!(writer.append(&[2; 60]).expect("room"), written);
    let rest: Vec<_> = Reader::open_at(dir.path(), 3).map(|r| r.expect("intact").sequence).collect();
    assert_eq!(rest, (3..=written).collect::<Vec<_>>());
}

#[test]
fn the_bytes_of_a_damaged_record_can_be_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path(), Options::default(), &[vec![1; 30], vec![2; 40], vec![3; 50]]);
    let path = segments(dir.path()).pop().expect("there");
    let mut bytes = fs::read(&path).expect("readable");
    let second = 20 + 50 + 20;
    bytes[second + 7] ^= 0x40;
    fs::write(&path, &bytes).expect("writable");
    let damage = read_all(dir.path()).1.pop().expect("damaged");
    assert_eq!(salvage(&damage, 1000).expect("readable"), bytes[second..second + 40]);
    assert_eq!(salvage(&damage, 9).expect("readable").len(), 9, "bounded");
    bytes[second - 20] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    let damage = read_all(dir.path()).1.pop().expect("damaged");
    assert_eq!(salvage(&damage, 1000).expect("readable"), bytes[second - 20..], "its length cannot be trusted");
}

#[test]
fn a_damaged_cursor_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    store_cursor(dir.path(), "c", 3).expect("stored");
    let path = dir.path().join("c.cursor");
    let mut bytes = fs::read(&path).expect("readable");
    bytes[9] ^= 4;
    fs::write(&path, bytes).expect("writable");
    let error = load_cursor(dir.path(), "c").expect_err("damaged").to_string();
    assert!(error.starts_with("damaged cursor c.cursor at offset 0: expected checksum "), "{error}");
}

#[test]
fn a_reader_follows_the_writer_over_rotations_and_torn_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = Writer::open(dir.path(), SMALL).expect("opens");
    let mut reader = Reader::open(dir.path());
    for n in 0..20_u8 {
        assert_eq!(reader.read().expect("readable"), None);
        writer.append(&[n; 50]).expect("fits");
        let record = reader.read().expect("readable").expect("there");
        assert_eq!((record.sequence, record.payload), (u64::from(n), vec![n; 50]));
    }
    let last = segments(dir.path()).pop().expect("there");
    let len = fs::metadata(&last).expect("there").len();
    fs::OpenOptions::new().write(true).open(&last).and_then(|f| f.set_len(len + 7)).expect("grows");
    assert_eq!(reader.read().expect("readable"), None);
    assert_eq!(reader.torn().map(|p| p.offset), Some(len));
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = Writer::open(dir.path(), SMALL).expect("opens");
    assert!(matches!(Writer::open(dir.path(), SMALL), Err(Error::Locked(_))));
}
