// Reads the files named on stdin with generated Rust parsers, and writes what they give.
use kaitai::*;
use std::io::BufRead;

mod meta;
mod metrics;
#[allow(overflowing_literals)] // a constant over 2^31 is compared as an i32
mod probe;

fn hex<T: AsRef<[u8]>>(data: T) -> String {
    data.as_ref().iter().fold("x".to_string(), |out, byte| format!("{out}{byte:02x}"))
}

fn text(read: &OptRc<meta::Meta_Text>) -> String {
    if read.is_none() {
        return "-".to_string();
    }
    hex(&*read.value())
}

fn read(kind: &str, stream: &BytesReader) -> KResult<()> {
    if kind == "meta" {
        let m = meta::Meta::read_into::<_, meta::Meta>(stream, None, None)?;
        let texts = [text(&m.commit_id()), text(&m.job_name()), text(&m.user())];
        println!("value {} {} {}", m.version(), m.timestamp(), texts.join(" "));
    } else if kind == "probe" {
        let p = probe::Probe::read_into::<_, probe::Probe>(stream, None, None)?;
        let note = hex(&*p.note().value());
        println!("value {} {} {} {}", p.magic(), p.serial(), note, p.default_field());
    }
    // A record needs a root, so one is made; it stays empty.
    let root = OptRc::from(metrics::Metrics::default());
    let shared = SharedType::new(root.get());
    while kind == "metrics" && !stream.is_eof() {
        let r = metrics::Metrics::read_into::<_, metrics::Metrics_Record>(
            stream,
            Some(shared.clone()),
            Some(shared.clone()),
        )?;
        let bits = r.value().to_bits();
        let name = hex(&*r.name().value());
        println!("value {} {} {:016x} {}", r.timestamp(), r.step(), bits, name);
    }
    Ok(())
}

fn main() {
    for line in std::io::stdin().lock().lines().map(Result::unwrap) {
        let (kind, path) = line.split_once(' ').unwrap();
        match read(kind, &BytesReader::open(path).unwrap()) {
            Ok(()) => println!("end"),
            Err(error) => println!("end {}", format!("{error:?}").split([' ', '(']).next().unwrap()),
        }
    }
}
